import dataclasses
from fractions import Fraction

import pytest

from bot.cards.card import Snapshot, draw_card, find_share
from bot.cards.results import name_result
from bot.texts import LANGUAGES
from controller.records import Actor, Attempt, Estimate
from controller.states import AttemptState, JobState, Reason
from remote_runner.protocol import Mode, Phase, Status, Task
from tests.bot.stage import buttons

ESTIMATE = Estimate(seconds=125, usd=0.05, frames_out=480, width=640, height=360, measured=True)


@pytest.fixture
async def job(house):
    return await house.draft("clip.mp4", task=Task(mode=Mode.BOTH))


def status(phase=Phase.PROCESSING, done=216, total=480, **more):
    return Status(sequence=1, heartbeat_at=0, phase=phase, done=done, total=total, **more)


def attempt(number=1, state=AttemptState.RUNNING, *, seen_at=1000.0, **more):
    values = {
        "job": "j", "machine": "m", "version": 1, "assigned_at": 900.0, "started_at": 950.0,
        "ended_at": None, "deadline_at": 9999.0, "status": status(), "reason": None, "detail": "",
    }  # fmt: skip
    return Attempt(number=number, state=state, seen_at=seen_at, **(values | more))


def draw(texts, job, language="en", **values):
    return draw_card(Snapshot(**({"job": job, "now": 1001.0} | values)), texts[language])


def text_of(view):
    return view.text.render()[0]


def test_a_running_card_shows_stages_bar_speed_and_end(texts, job):
    job = dataclasses.replace(job, state=JobState.RUNNING)
    running = attempt(status=status(fps=12.34, eta_s=95.0))
    view = draw(texts, job, attempts=(running,), machine="RTX 3060")
    assert text_of(view) == (
        "🎬 clip.mp4 · ×2 + 2× fps\n✓ fetching the file\n▶ upscaling and new frames\n"
        "▰▰▰▰▰▱▱▱▱▱▱▱ 45%\n216 of 480 frames · 12.34 fps\n○ checking\n○ sending the result\n"
        "Ready in 1 min 34 s\nMachine: RTX 3060"
    )
    (moment,) = [each for each in view.text.render()[1] if each.type == "date_time"]
    assert (moment.unix_time, moment.date_time_format) == (1095, "r")


def test_the_preview_is_a_button_whose_address_may_be_signed_anew(texts, job):
    job = dataclasses.replace(job, state=JobState.RUNNING)
    view, again = (
        draw(texts, job, attempts=(attempt(),), preview=f"https://x/preview.mp4?sign={each}")
        for each in "ab"
    )
    assert view.keyboard.inline_keyboard[0][0].url == "https://x/preview.mp4?sign=a"
    assert view.fingerprint == again.fingerprint
    local = draw(texts, job, attempts=(attempt(),), preview="file:///data/preview.mp4")
    assert [each.url for row in local.keyboard.inline_keyboard for each in row] == [None, None]


def test_failed_attempts_are_named(texts, job):
    job = dataclasses.replace(job, state=JobState.RUNNING, attempts=2)
    first = attempt(1, AttemptState.LOST, reason=Reason.SILENT)
    second = attempt(2, AttemptState.ASSIGNED, status=None)
    text = text_of(draw(texts, job, attempts=(first, second)))
    assert (
        "⚠️ Attempt 1: the machine went silent, last news 1 s ago.\nNow attempt 2 of 3.\n" in text
    )
    assert "Getting the machine ready" in text


def test_silence_is_said_and_replaces_the_forecast(texts, job):
    job = dataclasses.replace(job, state=JobState.RUNNING)
    running = attempt(seen_at=900.0, status=status(eta_s=30.0))
    text = text_of(draw(texts, job, attempts=(running,)))
    assert "The machine is silent: last news 1 min 41 s ago." in text
    assert "Ready" not in text


def test_a_card_that_is_being_cancelled_has_no_button_to_press(texts, job):
    job = dataclasses.replace(job, state=JobState.RUNNING, cancel_requested_at=1.0)
    view = draw(texts, job, attempts=(attempt(),))
    assert text_of(view).endswith("🛑 Cancelling…")
    ((button,),) = view.keyboard.inline_keyboard
    assert (button.text, button.callback_data) == ("Cancelling…", None)
    plain = view.without_disabled()
    assert (plain.keyboard, plain.text) == (None, view.text)
    assert plain.without_disabled() is None


def test_an_estimate_says_what_it_rests_on(texts, job):
    view = draw(texts, job, estimate=ESTIMATE)
    assert "Will be: 640×360, 48 fps\nTakes about 2 min 5 s (measured" in text_of(view)
    assert "$0.05" in text_of(view)
    formula = dataclasses.replace(ESTIMATE, measured=False, usd=0)
    text = text_of(draw(texts, job, estimate=formula))
    assert "(estimate by formula)" in text
    assert "Cost" not in text


def test_fingerprint_changes_with_what_is_visible_only(texts, job):
    plan = draw(texts, job, estimate=ESTIMATE)
    assert plan.fingerprint == draw(texts, job, estimate=ESTIMATE, now=2000.0).fingerprint
    other = dataclasses.replace(job, task=Task())
    assert plan.fingerprint != draw(texts, other, estimate=ESTIMATE).fingerprint
    assert plan.fingerprint != draw(texts, job, "ru", estimate=ESTIMATE).fingerprint


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", JobState)
def test_every_state_has_a_card_within_the_limits(texts, job, state, language):
    job = dataclasses.replace(
        job, state=state, source_name="я" * 5000, reason=Reason.TIMEOUT, attempts=3,
        started_at=1.0, ended_at=90.0, cost_usd=0.2,
    )  # fmt: skip
    attempts = tuple(attempt(n, AttemptState.LOST, reason=Reason.SILENT) for n in range(1, 9))
    for phase in Phase:
        last = attempt(9, status=status(phase))
        view = draw(
            texts, job, language, attempts=(*attempts, last), estimate=ESTIMATE, position=3
        )
        assert len(text_of(view)) < 1000
        for row in view.keyboard.inline_keyboard if view.keyboard else ():
            for button in row:
                assert button.disabled or len(button.callback_data.encode()) <= 64


def test_share_counts_processing_only():
    assert find_share(None) == 0
    assert find_share(status(Phase.FETCHING, 9, 10)) == 0
    assert find_share(status(done=3, total=4)) == 0.75
    assert find_share(status(Phase.UPLOADING, 1, 10)) == 1


def test_ends_offer_another_try(texts, job):
    for state in (JobState.FAILED, JobState.CANCELLED):
        ended = dataclasses.replace(job, state=state, reason=Reason.EXPIRED, started_at=5.0)
        view = draw(texts, ended)
        assert buttons(type("M", (), {"reply_markup": view.keyboard})) == ["Try again"]
    never_started = dataclasses.replace(job, state=JobState.CANCELLED, reason=Reason.EXPIRED)
    assert draw(texts, never_started).keyboard is None


@pytest.mark.parametrize(
    ("total", "shown"), [(1, "кадра"), (21, "кадра"), (22, "кадров"), (241, "кадра")]
)
def test_russian_counts_of_frames_are_in_the_genitive_after_of(texts, total, shown):
    assert texts["ru"]("frames-of", done=0, total=total) == f"0 из {total} {shown}"


def test_a_long_name_keeps_what_was_done_and_its_suffix(job):
    tail = f"_{job.task.what(Fraction(24))}_{job.short_id}.mp4"
    done = dataclasses.replace(job, output_key=f"output/a_{'B' * 118}{tail}")
    assert name_result(done) == f"a_{'B' * 57}…{tail}"
    short = dataclasses.replace(job, output_key=f"output/my_clip{tail}")
    assert name_result(short) == f"my_clip{tail}"


async def test_estimates_come_from_the_controller(texts, house, job):
    estimate = house.controller.estimate(job)
    assert text_of(draw(texts, job, estimate=estimate)).count("640×360") == 1
    assert house.controller.get(job.id, by=Actor(7)) == job

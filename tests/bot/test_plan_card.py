import dataclasses
import itertools

import pytest

from bot.cards.asking import draw_ask, draw_held
from bot.cards.card import Snapshot, draw_card
from bot.cards.wording import show_range
from bot.texts import LANGUAGES
from controller.market import Filter
from controller.records import Estimate, Limit, PlanQuote
from controller.states import JobState, Reason
from remote_runner.protocol import NOTES, Task

QUOTE = PlanQuote(
    seconds=180, usd=0.01, low_usd=0.008, high_usd=0.02, low_seconds=120, high_seconds=240,
    gpu="RTX 3060", usd_per_hour=0.06, fitting=12, removed={"price": 20, "network": 6},
    cheapest_gpu="RTX 4090", cheapest_usd_per_hour=0.131, queue=2, starts_in_s=300, warm=False,
    measured=True, reckoned=False, frames_out=240, width=640, height=360, hold=None,
    hold_data={}, paid=True, at=0.0,
)  # fmt: skip
NOTHING = dataclasses.replace(
    QUOTE, fitting=0, hold=Reason.NO_OFFER, hold_data={"over": [Limit.PRICE]}
)


@pytest.fixture
async def job(house):
    return await house.draft("clip.mp4")


def draw(texts, job, language="en", **values):
    shot = Snapshot(**({"job": job, "now": 0.0, "cap_usd_per_hour": 0.1} | values))
    return draw_card(shot, texts[language])


def text_of(view):
    return view.text.render()[0]


def test_a_quote_says_time_money_machine_queue_and_what_was_left_out(texts, job):
    view = draw(texts, job, quote=QUOTE)
    assert text_of(view).split("\n")[5:] == [
        "Will be: 640×360, 24 fps",
        "Takes about 2 min – 4 min (measured on earlier runs)",
        "Cost: about $0.008 – $0.02",
        "Machine: RTX 3060 at $0.06/h",
        "2 jobs are ahead of yours",
        "Begins about 5 min after “Start”",
        "Under $0.10/h: 12 offers that fit.",
        "Left out, by reason: price 20, network 6.",
        "Choose what to do and press “Start”.",
    ]
    (quoted,) = [e for e in view.text.render()[1] if e.type == "expandable_blockquote"]
    units = text_of(view).encode("utf-16-le")[2 * quoted.offset :]
    assert units.decode("utf-16-le").startswith("Under $0.10/h")


def test_one_figure_is_no_range(texts):
    assert show_range("2 min", "2 min", texts["en"]) == "2 min"


def test_while_the_market_is_asked_the_estimate_stands(texts, job):
    estimate = Estimate(
        seconds=125, usd=0.05, frames_out=240, width=640, height=360, measured=False
    )
    assert "Cost: about $0.05, asking the market…" in text_of(draw(texts, job, estimate=estimate))
    free = dataclasses.replace(estimate, usd=0.0, reckoned=True)
    text = text_of(draw(texts, job, estimate=free))
    assert "Cost" not in text and "that of the heaviest one" in text
    assert "Cost" not in text_of(draw(texts, job, quote=dataclasses.replace(QUOTE, paid=False)))


def test_a_market_that_did_not_answer_is_told_and_nothing_is_concluded(texts, job):
    quote = dataclasses.replace(QUOTE, unknown=True, fitting=0, removed={}, gpu="")
    text = text_of(draw(texts, job, quote=quote))
    assert "The market could not be asked" in text
    assert "Nothing" not in text and "Machine" not in text


def test_a_warm_machine_begins_at_once(texts, job):
    quote = dataclasses.replace(QUOTE, warm=True, queue=0, starts_in_s=0.0)
    text = text_of(draw(texts, job, quote=quote))
    assert "A machine is up: it begins at once" in text
    assert "ahead" not in text


def test_where_nothing_fits_the_cheapest_is_named_and_who_will_be_asked(texts, job):
    text = text_of(draw(texts, job, quote=NOTHING))
    assert "Nothing under $0.10/h fits. The cheapest that would do: RTX 4090 at $0.13/h." in text
    assert "“Start” will ask an admin." in text
    assert "“Start” will ask you once more." in text_of(
        draw(texts, job, quote=NOTHING, admin=True)
    )
    none = dataclasses.replace(
        NOTHING, cheapest_gpu=None, cheapest_usd_per_hour=None, hold=None, hold_data={}
    )
    assert "Nothing fits, not even above $0.10/h." in text_of(draw(texts, job, quote=none))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_limit_and_filter_is_said_in_words(texts, job, language):
    over = [str(each) for each in Limit]
    quote = dataclasses.replace(
        QUOTE, hold=Reason.BUDGET, hold_data={"over": over},
        removed={str(each): 1 for each in Filter},
    )  # fmt: skip
    text = text_of(draw(texts, job, language, quote=quote))
    assert text.count("⚠️") == len(over)
    for each in (*over, *map(str, Filter)):
        assert f" {each} 1" not in text or language == "en"
    assert len(text) < 1500


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_plan_fits_in_a_message(texts, job, language):
    facts = dataclasses.replace(job.facts, notes=tuple(f"{note}:{'x' * 99}" for note in NOTES))
    busy = dataclasses.replace(job, facts=facts, source_name="я" * 500)
    view = draw(texts, busy, language, quote=QUOTE)
    assert len(text_of(view)) < 4096


def test_what_was_assumed_of_the_file_is_told_before_the_start(texts, job):
    facts = dataclasses.replace(job.facts, notes=("matrix_assumed:bt601",))
    text = text_of(draw(texts, dataclasses.replace(job, facts=facts), quote=QUOTE))
    assert "About the file:\n• the file names no colour matrix, bt601 was assumed" in text


def test_a_page_of_the_settings_says_what_comes_of_it(texts, job):
    view = draw(texts, job, quote=QUOTE, page="options")
    assert text_of(view).startswith("⚙️ clip.mp4\n×2\nWill be: 640×360, 24 fps\n")
    assert "Cost: about $0.008 – $0.02" in text_of(view)
    # what is no page is the list
    assert text_of(draw(texts, job, quote=QUOTE, page="denoise")) == text_of(view)
    assert text_of(draw(texts, job, quote=QUOTE, page="size")).startswith("Size\n")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"state": JobState.QUEUED}, "🧪 Sample: getting the machine ready…"),
        (
            {"state": JobState.QUEUED, "waits_for": Reason.NO_CREDIT},
            "🧪 The sample waits: there is no money on the rental account.",
        ),
        (
            {"state": JobState.RUNNING, "cancel_requested_at": 1.0},
            "🧪 The sample is being cancelled…",
        ),
        ({"state": JobState.DONE}, "🧪 The sample is done."),
        ({"state": JobState.FAILED, "reason": Reason.SILENT}, "🧪 The sample failed: the"),
    ],
)
def test_a_sample_is_told_in_each_state(texts, job, state, shown):
    sample = dataclasses.replace(job, sample_of=job.id, **state)
    text = text_of(draw(texts, job, sample=sample))
    if state.get("waits_for"):
        assert "🧪 The sample waits: " in text
    else:
        assert shown in text
    other = dataclasses.replace(sample, task=Task(scale=4))
    assert "🧪" not in text_of(draw(texts, job, sample=other))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hold_is_drawn_whatever_was_written_down(texts, job, language):
    full = {
        "usd_per_hour": 0.13, "usd": 0.5, "expected_usd": 0.1, "seconds": 99.0,
        "gpu": "RTX 4090", "limit_s": 7200.0,
    }  # fmt: skip
    odd = {"usd": "much", "over": ["novel"], "gpu": "\u202eevil\n" * 50}
    reasons = (Reason.NO_OFFER, Reason.BUDGET, Reason.TOO_LONG)
    for reason, data, admin in itertools.product(reasons, ({}, full, odd), (True, False)):
        held = dataclasses.replace(
            job, state=JobState.HELD, held_for=reason, held_data=data, deadline_at=90.0
        )
        shot = Snapshot(job=held, now=0.0, admin=admin, names={job.owner: "A\u202eB"})
        for drawn in (draw_held(shot, texts[language]), draw_ask(shot, texts[language])):
            assert 10 < len(text_of(drawn)) < 1000
            assert "\u202e" not in text_of(drawn)
            assert drawn.keyboard is not None


@pytest.mark.parametrize("state", JobState)
def test_an_ask_is_drawn_in_every_state_of_its_job(texts, job, state):
    for reason, by in itertools.product((None, Reason.DECLINED, Reason.EXPIRED), (None, 5)):
        changed = dataclasses.replace(job, state=state, reason=reason, approved_by=by)
        view = draw_ask(Snapshot(job=changed, now=0.0, names={5: "Vera"}), texts["en"])
        assert text_of(view).startswith(f"❓ {job.owner} asks:\n")
        assert (view.keyboard is not None) is (state is JobState.HELD)

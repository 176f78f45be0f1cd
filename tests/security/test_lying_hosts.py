"""A rented host may write anything into its documents: none of it is believed or shown as is."""

import dataclasses
import hashlib
import json
import logging
import unicodedata

import pytest

from bot.terminal.console import describe_progress
from bot.texts import LANGUAGES, Texts
from controller.errors import TooLarge
from controller.foreign import LONGEST
from controller.loops.publish import most_bytes
from controller.places import attempt_prefix, picture_key
from controller.policy import work_name
from controller.providers.base import InstanceStatus
from controller.records import TERMINAL
from controller.states import AttemptState, JobState, Reason
from remote_runner.protocol import Check, Outcome, Phase, Result, to_json
from remote_runner.protocol import Reason as RunnerReason
from tests.bot.test_cards import draw, text_of
from tests.controller.conftest import FACTS, clock, rented, video

__all__ = ["clock", "rented"]

OUTPUT = video(width=640, height=360)
#: A cursor that moves, a title that changes, a line that is forged, a direction that turns,
#: markup, half a character, and no end.
TRICKS = (
    "\x1b[2J\x1b]0;owned\x07", "ok\n2030-01-01 INFO all is well", "\u202egpj.exe", "\r[OK] done",
    "<b>x</b><a href='https://evil.example'>y</a>", "[x](https://evil.example)", "\ud800",
    "\ue0000\ue001", "\x00", "x" * 20_000, "\u2066\u2069\u200f", "$(reboot) `id` ; rm -rf /",
)  # fmt: skip


@pytest.fixture
async def work(rented):
    """A job on a machine that runs."""
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(rented.machine().instance, status=InstanceStatus.RUNNING)
    await rented.tick()
    rented.runner.heartbeat(rented.machine())
    await rented.tick()
    assert rented.job(job).state is JobState.RUNNING
    return rented, job


def newest(house, job):
    return house.store.attempts.of_job(job.id)[-1]


async def write(house, job, name, document):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    await house.storage.write(f"{attempt_prefix(newest(house, job))}{name}", data)


def is_plain(text):
    return text.isprintable() and len(text) <= LONGEST


def result_of(job, changes):
    """As JSON has it, which may hold what Python could not write."""
    result = Result(
        job=job.id, attempt=1, outcome=Outcome.DONE, bytes=len(OUTPUT),
        extension="mp4", checks=(Check(name="duration", passed=True, detail=""),),
    )  # fmt: skip
    result = dataclasses.replace(result, sha256=hashlib.sha256(OUTPUT).hexdigest())
    return json.loads(to_json(result)) | changes


NO_RESULT = {
    "no json": b"<html>502</html>", "nothing in it": b"{}", "a list": b"[]", "half": b'{"job": "',
    "binary": bytes(range(256)), "deep": b"[" * 100_000, "deep inside": b'{"job":' * 5000,
    "deep enough": b'{"version":' + b"[" * 960 + b"]" * 960 + b"}",
    "large": b'{"x":"' + b"y" * (1 << 20),
    "digits": b'{"attempt":' + b"9" * 100_000 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_RESULT)
async def test_what_is_no_result_costs_the_host_the_job(work, name):
    house, job = work
    await write(house, job, "result", NO_RESULT[name])
    await check_lost(house, job)


@pytest.mark.parametrize(
    "lie",
    [
        {"job": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, {"attempt": 2}, {"attempt": True},
        {"attempt": 1.0}, {"attempt": -1}, {"version": 2}, {"version": "x" * 10_000},
        {"bytes": 50 * 10**9}, {"bytes": -1}, {"bytes": 0}, {"bytes": True}, {"bytes": 10**30},
        {"bytes": "1"}, {"fps": 1e400}, {"fps": float("nan")}, {"fps": float("-inf")},
        {"timings": {"processing": float("nan")}}, {"timings": {"processing": [1]}},
        {"extension": "../../../output/other.mp4"}, {"extension": "mp4/../x"},
        {"extension": "mp4\n"}, {"extension": "MP4"}, {"extension": ""}, {"extension": "html"},
        {"extension": "mp4\u0000"}, {"sha256": "../x"}, {"sha256": None}, {"checks": []},
        {"checks": [{"name": TRICKS[0], "passed": False, "detail": TRICKS[1]}]},
        {"checks": [{"name": "x", "passed": "yes", "detail": ""}]}, {"outcome": "Done"},
        {"facts": {}}, {"kept": "audio"}, {"kept": [["audio"]]}, {"notes": {"a": 1}},
        {"resumed_frames": 10**25}, {"reason": "because"},
    ],
    ids=lambda lie: "-".join(f"{key} {str(value)[:20]!r}" for key, value in lie.items()),
)  # fmt: skip
async def test_a_lie_in_a_result_publishes_nothing(work, lie):
    house, job = work
    await house.storage.write(f"{attempt_prefix(newest(house, job))}output", OUTPUT)
    await write(house, job, "result", result_of(job, lie))
    await check_lost(house, job)


async def check_lost(house, job):
    await house.tick(35)
    (attempt, *_) = house.store.attempts.of_job(job.id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, Reason.BAD_RESULT)
    assert is_plain(attempt.detail)
    assert house.job(job).state in (JobState.QUEUED, JobState.RUNNING)
    assert not (house.settings.storage_dir / "output").exists()
    assert house.store.bans.active() == {"m1": "bad_result"}


async def test_no_output_is_larger_than_its_pictures(work):
    _, job = work
    pictures = 240 * 640 * 360 * 3
    assert pictures < most_bytes(job) < 2 * pictures


async def test_what_is_told_of_a_result_is_what_we_found_in_it(work):
    house, job = work
    lies = dataclasses.replace(FACTS, width=10**9, height=10**9, duration_s=1e17, codec="\x1b[2J")
    house.runner.finish(house.machine(), OUTPUT, facts=lies)
    await house.tick(35)
    done = house.job(job)
    assert done.state is JobState.DONE
    assert (done.result.facts.width, done.result.facts.duration_s) == (640, 10.0)
    assert done.result.facts.codec == "h264"


@pytest.mark.parametrize("seconds", [1e-300, 1e-9, 1e17])
async def test_no_host_chooses_what_plans_rest_on(work, seconds):
    house, job = work
    house.runner.finish(house.machine(), OUTPUT, timings={"processing": seconds})
    await house.tick(35)
    assert house.job(job).state is JobState.DONE
    assert house.store.speeds.known(work_name(job.task)) is None


def test_one_lie_moves_a_known_speed_to_its_double_at_most(rented):
    speeds = rented.store.speeds
    speeds.learn("RTX 3060", "work", 1000.0)
    speeds.learn("RTX 3060", "work", 1e10)
    assert speeds.known("work", "RTX 3060") == pytest.approx(2000.0)
    speeds.learn("RTX 3060", "work", 10.0)
    assert speeds.known("work", "RTX 3060") == pytest.approx(1500.0)


STATUSES = {
    "backwards": {"done": -(2**63) + 1, "total": -5, "fps": -1e17, "eta_s": -1.0},
    "far": {"done": 2**62, "total": 1, "fps": 1e17, "eta_s": 1e17, "heartbeat_at": 1e17},
    "endless": {"done": 2**63 - 1, "total": 2**63 - 1, "eta_s": 1e-300, "segments": 2**63 - 1},
    "of words": {"device": "".join(TRICKS), "vram_free": -1, "preview": True, "frame": True},
    "older": {"sequence": -7, "phase": "starting"},
}


@pytest.mark.parametrize("name", STATUSES)
async def test_any_status_can_be_drawn(work, name):
    house, job = work
    machine = house.machine()
    house.runner.heartbeat(machine)
    key = f"{attempt_prefix(newest(house, job))}status"
    told = json.loads(await house.storage.read(key)) | STATUSES[name]
    await house.storage.write(key, json.dumps(told).encode())
    await house.tick()
    attempt = newest(house, job)
    assert attempt.status.sequence == told["sequence"]
    assert is_plain(attempt.status.device)
    texts = Texts()
    for language in LANGUAGES:
        view = draw(texts, house.job(job), language, attempts=(attempt,), now=house.clock())
        shown, entities = view.text.render()
        assert len(shown) < 1000
        moments = [each.unix_time for each in entities if each.type == "date_time"]
        assert all(abs(at - house.clock()) < 40 * 86_400 for at in moments)
    percent, _, rest = describe_progress(attempt.status).partition("%")
    assert not rest or 0 <= int(percent) <= 100


@pytest.mark.parametrize(
    "lie",
    [{"done": 2**63}, {"done": 1e3}, {"total": True}, {"eta_s": float("nan")}, {"phase": "done"},
     {"job": "another"}, {"attempt": 9}, {"fps": "1"}, {"sequence": None}],
    ids=str,
)  # fmt: skip
async def test_a_status_that_is_none_is_silence(work, lie):
    house, job = work
    before = newest(house, job).status
    key = f"{attempt_prefix(newest(house, job))}status"
    told = json.loads(await house.storage.read(key))
    await house.storage.write(key, json.dumps(told | {"done": 11} | lie).encode())
    await house.tick()
    assert newest(house, job).status == before
    await house.tick(house.provider.silence_s + 1)
    assert newest(house, job).reason is Reason.SILENT


async def test_words_of_a_host_are_cleaned_before_anything_keeps_them(work, caplog):
    house, job = work
    caplog.set_level(logging.DEBUG)
    told = {"outcome": "failed", "reason": "corrupt", "detail": "".join(TRICKS[:9])}
    await write(house, job, "result", result_of(job, told))
    await house.tick(35)
    failed = house.job(job)
    assert failed.state is JobState.FAILED
    assert is_plain(failed.detail) and is_plain(newest(house, job).detail)
    assert "owned" in failed.detail
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_what_a_finished_job_tells_is_one_line_each(work):
    house, job = work
    told = dict.fromkeys(("kept", "dropped", "notes"), TRICKS)
    told |= {"model": TRICKS[0], "device": TRICKS[6], "timings": {TRICKS[2]: 1.0}}
    await house.storage.write(f"{attempt_prefix(newest(house, job))}output", OUTPUT)
    await write(house, job, "result", result_of(job, told))
    await house.tick(35)
    done = house.job(job)
    assert done.state is JobState.DONE
    result = done.result
    words = (*result.kept, *result.dropped, *result.notes, result.model, result.device)
    assert all(map(is_plain, (*words, *result.timings)))
    for language in LANGUAGES:
        text = text_of(draw(Texts(), done, language))
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]


async def test_the_log_of_a_host_is_lines_without_tricks(work):
    house, job = work
    await write(house, job, "log", "\n".join(TRICKS).encode("utf-8", "replace"))
    lines = await house.controller.logs(job.id, by=TERMINAL)
    assert lines and all(map(is_plain, lines))
    assert not any("://" in line for line in lines)
    await write(house, job, "log", b"x" * ((1 << 20) + 1))
    with pytest.raises(TooLarge):
        await house.controller.logs(job.id, by=TERMINAL)


@pytest.mark.parametrize(
    "boot",
    [b"[" * 50_000, b'{"phase":"armed","detail":"' + b"x" * 300_000 + b'"}', b"\xff\xfe",
     b'{"phase":"ready"}', b'{"phase":"armed","key":1}', b'{"phase":"armed","version":2}'],
    ids=["deep", "large", "binary", "phase", "key", "version"],
)  # fmt: skip
async def test_a_boot_report_that_is_none_counts_as_silence(rented, boot):
    await rented.queued()
    await rented.tick()
    machine = rented.machine()
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    await rented.storage.write(f"machines/{machine.id}/boot", boot)
    await rented.tick()
    assert rented.machine().boot is None


async def test_the_words_of_a_boot_report_are_cleaned(rented):
    job = await rented.queued()
    await rented.tick()
    machine = rented.machine()
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    told = {
        "phase": "failed",
        "reason": "install_failed",
        "detail": TRICKS[0],
        "device": TRICKS[2],
    }
    await rented.storage.write(f"machines/{machine.id}/boot", json.dumps(told).encode())
    await rented.tick()
    attempt = newest(rented, job)
    assert attempt.reason is RunnerReason.INSTALL_FAILED
    assert is_plain(attempt.detail)


async def test_a_picture_without_end_is_not_fetched(work):
    house, job = work
    house.runner.finish(house.machine(), OUTPUT)
    await house.tick(35)
    done = house.job(job)
    await house.storage.write(picture_key(done.id, done.attempts), bytes(10_000_001))
    with pytest.raises(TooLarge):
        async with house.controller.picture_file(done):
            pass


async def test_phases_that_go_back_and_forth_end_with_the_attempt(work):
    """Each look notes one change at most: how often is ours to say."""
    house, job = work
    for round_ in range(6):
        phase = (Phase.FETCHING, Phase.PROCESSING)[round_ % 2]
        for _ in range(3):
            house.runner.heartbeat(house.machine(), phase=phase)
        await house.tick()
    assert house.kinds(job).count("phase") == 6

import gc
import hashlib
import json
import random
import signal
import threading
import time
import weakref
from dataclasses import replace

import pytest

from remote_runner import attempt as attempts
from remote_runner import transfer
from remote_runner.attempt import Attempt, carry_out, give_up
from remote_runner.errors import Cancelled
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import (
    FinishedSegment,
    Grant,
    Mode,
    Outcome,
    SegmentUrls,
    Status,
    Task,
)
from remote_runner.report import Reporter
from remote_runner.safekeeping import GrantStore
from remote_runner.segments import Manifest
from tests.runner.mailbox import ended, leftovers, wait
from tests.runner.test_resume import film, shown


def segment_urls(server, count=12):
    return tuple(
        SegmentUrls(
            content_url=server.url(f"parts/{n}.nut"), manifest_url=server.url(f"parts/{n}.json")
        )
        for n in range(count)
    )


def finished_segments(server):
    """What a controller would find in storage: segments that have a manifest."""
    numbers = sorted(
        int(name.split("/")[1].split(".")[0])
        for name in list(server.objects)
        if name.startswith("parts/") and name.endswith(".json")
    )
    return tuple(
        FinishedSegment(
            number=n,
            content_url=server.url(f"parts/{n}.nut"),
            manifest_url=server.url(f"parts/{n}.json"),
        )
        for n in numbers
    )


EXACT = Task(mode=Mode.INTERP, crf=0, preset="ultrafast", interpolator="flow")
#: Of a machine, and of an attempt: no test is about their ends.
PATIENCE_S = 600


def kill_a_machine(mailbox, start, server, tmp_path, source, job, delay_s, task=EXACT):
    """Kill a runner some time after its first segment is safe; what the next one makes of it."""
    server.objects.clear()
    mailbox.deadline_at = time.time() + PATIENCE_S
    changes = {"segment_s": 0.5, "deadline_at": mailbox.deadline_at}
    # orders come before the machine: it would end at once by those of the one before, to stop
    mailbox.grant(job, 1, source, task=task, segments=segment_urls(server), **changes)
    first = start(NOXFVR_WORK_DIR=str(tmp_path / f"{job}-first"))
    wait(
        lambda: finished_segments(server) or first.poll() is not None,
        progress=lambda: mailbox.phase(job, 1),
    )
    assert first.poll() is None, ended(first)
    time.sleep(delay_s)
    first.kill()
    first.communicate()
    mailbox.grant(
        job,
        2,
        source,
        task=task,
        segments=segment_urls(server),
        finished=finished_segments(server),
        **changes,
    )
    second = start(NOXFVR_WORK_DIR=str(tmp_path / f"{job}-second"))
    result = mailbox.result(job, 2)
    mailbox.order(stop=True)
    assert ended(second)[0] == 0
    return result, mailbox.folder / job / "2" / "output"


def test_the_next_machine_goes_on_behind_the_segments_in_storage(tmp_path, mailbox, start, server):
    source = film(tmp_path / "in.mp4", count=120)
    result, output = kill_a_machine(mailbox, start, server, tmp_path, source, "j1", 0.0)
    assert (result.outcome, result.detail) == (Outcome.DONE, "")
    assert result.resumed_frames >= 24
    assert mailbox.document(Status, "j1/2/status").segments == 10
    whole = process(
        source, tmp_path / "whole.mp4", EXACT, equipment=Equipment(device="cpu"), segment_s=0.5
    )
    assert shown(output) == shown(whole.output)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_machines_killed_at_any_moment_lose_nothing_but_time(tmp_path, mailbox, start, server):
    rng = random.Random(5)
    source = film(tmp_path / "in.mp4", count=120)
    for n in range(6):
        task = replace(EXACT, fps=("60", None, "10")[n % 3])
        whole = process(
            source, tmp_path / "w.mp4", task, equipment=Equipment(device="cpu"), segment_s=0.5
        )
        job, delay_s = f"j{n}", rng.random()
        result, output = kill_a_machine(
            mailbox, start, server, tmp_path, source, job, delay_s, task
        )
        assert result.outcome is Outcome.DONE
        assert shown(output) == shown(whole.output)


def test_sigterm_tells_how_many_segments_are_safe(tmp_path, mailbox, start, server, long_clip):
    runner = start()
    mailbox.grant("j1", 1, long_clip, segments=segment_urls(server), segment_s=1.0)
    wait(lambda: finished_segments(server))
    asked = time.monotonic()
    runner.send_signal(signal.SIGTERM)
    code, _, _ = ended(runner, timeout_s=12)
    assert code == 143
    assert time.monotonic() - asked < 10
    result = mailbox.result("j1", 1)
    assert result.outcome is Outcome.CANCELLED
    safe = len(finished_segments(server))
    assert result.detail == f"the runner was terminated; {safe} segments are safe"
    assert leftovers(tmp_path) == []


def test_storage_that_takes_no_segments_costs_the_safety_alone(
    tmp_path, mailbox, start, server, clip
):
    server.failures["PUT", "parts/0.nut"] = [403] * 50
    runner = start()
    mailbox.grant("j1", 1, clip, segments=segment_urls(server), segment_s=0.1)
    result = mailbox.result("j1", 1)
    assert result.outcome is Outcome.DONE
    assert "segments_not_saved:1" in result.notes
    assert finished_segments(server) == ()
    mailbox.order(stop=True)
    code, _, errors = ended(runner)
    assert code == 0
    assert "segment 0 is not safe" in errors and "s3cret" not in errors


def test_segments_that_cannot_be_fetched_are_made_again(mailbox, start, server, clip):
    runner = start()
    gone = FinishedSegment(
        number=0, content_url=server.url("no.nut"), manifest_url=server.url("no.json")
    )
    mailbox.grant("j1", 1, clip, finished=(gone, gone))
    result = mailbox.result("j1", 1)
    assert (result.outcome, result.resumed_frames) == (Outcome.DONE, 0)
    mailbox.order(stop=True)
    assert ended(runner)[0] == 0


def test_a_segment_in_storage_that_is_of_no_use_is_made_again(
    tmp_path, mailbox, server, equipment
):
    source = film(tmp_path / "in.mp4")

    def work(name, **changes):
        mailbox.grant("j1", 1, source, segments=segment_urls(server), **changes)
        store = GrantStore(mailbox.document(Grant, "j1/1/grant"), tmp_path / name, lambda: None)
        try:
            report = process(
                source,
                tmp_path / f"{name}.mkv",
                EXACT,
                equipment=equipment,
                store=store,
                segment_s=0.5,
            )
            wait(lambda: store.safe == 6)
        finally:
            store.close()
        return report

    whole = work("first")
    assert sorted(path.name for path in (tmp_path / "first").glob("*.nut")) == []
    junk = b"junk" * 100  # its manifest and hash are fine
    manifest = json.loads(server.objects["parts/1.json"])
    manifest |= {"sha256": hashlib.sha256(junk).hexdigest(), "bytes": len(junk)}
    server.objects["parts/1.json"] = json.dumps(manifest).encode()
    server.objects["parts/1.nut"] = junk
    again = work("second", finished=finished_segments(server))
    assert (whole.resumed_frames, again.resumed_frames) == (0, 0)
    assert shown(again.output) == shown(whole.output)
    assert server.objects["parts/1.nut"] != junk


def test_a_joined_segment_stays_until_it_is_uploaded(tmp_path, mailbox, server, monkeypatch):
    may_go = threading.Event()
    put_file = transfer.put_file

    def put_later(*args, **options):
        may_go.wait(20)
        put_file(*args, **options)

    monkeypatch.setattr(transfer, "put_file", put_later)
    mailbox.grant("j1", 1, tmp_path, segments=segment_urls(server, 2))
    store = GrantStore(mailbox.document(Grant, "j1/1/grant"), tmp_path / "kept", lambda: None)
    for number in range(3):  # the last one has no place in storage
        store.open(number).write_bytes(b"content")
        store.keep(manifest_of(number))
        store.joined(number)
    there = [store.path(number).exists() for number in range(3)]
    may_go.set()
    wait(lambda: store.safe == 2)
    store.close()
    assert there == [True, True, False]
    assert not any(store.path(number).exists() for number in range(3))
    assert server.objects["parts/1.nut"] == b"content"
    assert store.notes() == ()


def manifest_of(number):
    values = dict.fromkeys(("begin_at", "last_at", "next_at", "first", "last", "end"), number)
    return Manifest(
        number=number,
        recipe="",
        frames=1,
        pictures=1,
        sha256="",
        bytes=7,
        encoder="",
        extradata_sha256="",
        depth=0,
        **values,
    )


def test_a_preview_and_a_clip_go_up_beside_the_result(tmp_path, mailbox, start, server):
    source = film(tmp_path / "in.mp4", count=300)
    runner = start()
    mailbox.grant(
        "j1",
        1,
        source,
        segment_s=0.5,
        preview_url=server.url("preview"),
        clip_url=server.url("clip"),
        segments=segment_urls(server, 60),
    )
    result = mailbox.result("j1", 1)
    assert result.outcome is Outcome.DONE
    assert not {"clip_missing", "picture_missing"} & set(result.notes)
    assert len(server.objects["clip"]) == result.clip_bytes > 0
    assert server.objects["preview"][4:8] == b"ftyp"
    assert mailbox.document(Status, "j1/1/status").preview
    mailbox.order(stop=True)
    code, _, errors = ended(runner)
    assert (code, errors) == (0, "")


def test_an_attempt_that_does_not_end_is_given_up(mailbox, tmp_path):
    grant = grant_of(mailbox)
    reporter = Reporter(say=lambda _: None)
    attempt = Attempt(grant, tmp_path / "work", reporter, lambda: "the runner was terminated")
    give_up(attempt)
    give_up(replace(attempt, ended=True, why_stop=lambda: "something else"))
    reporter.close()
    result = mailbox.result("j1", 1)
    assert (result.outcome, result.detail) == (Outcome.CANCELLED, "the runner was terminated")


def test_nothing_of_an_attempt_stays_in_memory(mailbox, tmp_path, monkeypatch):
    class Loop:
        pass

    def work(_):
        loop = Loop()
        loop.itself = loop
        made.append(weakref.ref(loop))
        raise Cancelled

    made = []
    monkeypatch.setattr(attempts, "_work", work)
    gc.disable()
    reporter = Reporter(say=lambda _: None)
    try:
        carry_out(Attempt(grant_of(mailbox), tmp_path / "work", reporter, lambda: "stop"))
        assert made[0]() is None
    finally:
        gc.enable()
        reporter.close()


def grant_of(mailbox):
    mailbox.grant("j1", 1, mailbox.folder / "no source")
    return mailbox.document(Grant, "j1/1/grant")

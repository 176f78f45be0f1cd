import asyncio
import dataclasses
import time

import pytest

from controller.errors import StorageError
from controller.grants import Grants, Lot, count_segments, segment_length
from controller.places import find_segments, segment_keys
from controller.records import Attempt, Job
from controller.states import AttemptState, JobState
from controller.storage.folder import FolderStorage
from controller.storage.s3 import S3Storage
from remote_runner.lifecycle import _LARGEST_GRANT
from remote_runner.protocol import Grant, Mode, Task, from_json
from tests.controller.conftest import FACTS

JOB = "01J00000000000000000000000"
UNTIL = 2_000_000_000.0


def make_job(**changes) -> Job:
    nothing = dict.fromkeys(
        ["chat", "reply_to", "started_at", "ended_at", "cancel_requested_at", "reason",
         "output_key", "output_bytes", "output_sha256", "sha256_by", "result"]
    )  # fmt: skip
    values = {
        "id": JOB, "request_key": "k", "owner": 7, "language": "en", "state": JobState.RUNNING,
        "version": 1, "task": Task(), "source_key": "input/c1/film.mkv", "source_name": "film.mkv",
        "source_bytes": 1000, "source_is_ours": False, "facts": FACTS, "created_at": 0.0,
        "deadline_at": 1.0, "not_before": 0.0, "attempts": 1, "detail": "", "cost_usd": 0.0,
    }  # fmt: skip
    return Job(**nothing | values | changes)


def make_attempt(number: int = 1) -> Attempt:
    return Attempt(
        job=JOB, number=number, machine="m", state=AttemptState.ASSIGNED, version=1,
        assigned_at=0.0, started_at=None, seen_at=None, ended_at=None, deadline_at=UNTIL,
        status=None, reason=None, detail="",
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return FolderStorage(tmp_path / "storage", reserve_bytes=0)


async def draw_up(storage, job=None, *, number=1, lots=(), segment_s=20.0, clock=time.time):
    grants = Grants(storage, segment_s=segment_s, clock=clock)
    text = await grants.draw_up(job or make_job(), make_attempt(number), "cpu", UNTIL, lots)
    return from_json(Grant, text)


async def leave(storage, job, number, attempt, *, whole=True):
    content, manifest = segment_keys(job, number, attempt)
    await storage.write(content, b"frames")
    if whole:
        await storage.write(manifest, b"{}")


async def test_a_grant_has_a_place_for_every_segment_that_the_duration_needs(folder):
    grant = await draw_up(folder, segment_s=3.0)
    assert (len(grant.segments), grant.segment_s) == (5, 3.0)
    names = [each.content_url.rpartition("/")[2] for each in grant.segments]
    assert names == [f"{number:05d}-1.nut" for number in range(5)]
    assert grant.segments[4].manifest_url.endswith(f"jobs/{JOB}/parts/00004-1.json")
    assert grant.clip_url.endswith(f"jobs/{JOB}/1/clip.mp4")
    assert grant.preview_url.endswith(f"jobs/{JOB}/1/preview.mp4")


async def test_no_two_attempts_share_a_key(folder):
    first, second = await draw_up(folder), await draw_up(folder, number=2)

    def written(grant):
        places = {each.content_url for each in grant.segments}
        places |= {each.manifest_url for each in grant.segments}
        return places | {grant.output_url, grant.clip_url, grant.preview_url, grant.picture_url}

    assert not written(first) & written(second)


async def test_whole_pairs_of_trusted_attempts_are_gone_on_with_and_the_newest_wins(folder):
    for number, attempt in ((0, 1), (0, 2), (1, 1), (2, 3)):
        await leave(folder, JOB, number, attempt)
    await leave(folder, JOB, 1, 2, whole=False)
    await folder.write(f"jobs/{JOB}/parts/notes.txt", b"")
    grant = await draw_up(folder, number=4, lots=[Lot(job=JOB, attempts={1, 2})])
    found = {each.number: each.content_url.rpartition("/")[2] for each in grant.finished}
    assert found == {0: "00000-2.nut", 1: "00001-1.nut"}


async def test_of_two_jobs_the_first_ones_segments_are_taken(folder):
    await leave(folder, "older", 0, 1)
    await leave(folder, "older", 1, 1)
    await leave(folder, JOB, 1, 1)
    lots = [Lot(job=JOB, attempts={1}), Lot(job="older", attempts={1})]
    grant = await draw_up(folder, number=2, lots=lots)
    assert ["older" in each.content_url for each in grant.finished] == [True, False]
    assert [each.number for each in grant.finished] == [0, 1]


def test_what_only_looks_like_a_segment_is_none():
    keys = [f"jobs/{JOB}/parts/{name}" for name in ("0-1.nut", "0-1.json", "00000-1.nut.part",
            "../00001-1.nut", "00001-1.json", "00002-01.nut", "00002-01.json")]  # fmt: skip
    assert find_segments(JOB, keys, {1}) == {}


def test_segments_of_very_long_videos_are_longer_and_the_same_for_every_attempt():
    assert segment_length(4 * 3600, 20) == 20
    assert count_segments(4 * 3600, 20) == 721
    week = 7 * 86400
    assert count_segments(week, segment_length(week, 20)) <= 1001


def bucket(tmp_path):
    return S3Storage(
        bucket="b" * 63, key="k" * 25, secret="s" * 31, region="eu-central-003",
        endpoint="https://s3.eu-central-003.backblazeb2.com", work_dir=tmp_path,
    )  # fmt: skip


async def test_thousands_of_urls_are_small_enough_and_do_not_stall_the_loop(tmp_path, monkeypatch):
    storage = bucket(tmp_path)
    urls = tuple(f"https://x/{n}?{'y' * 400}" for n in range(64))

    async def open_upload(key, expires_at):
        return urls

    async def entries(prefix):
        return []

    monkeypatch.setattr(storage, "open_upload", open_upload)
    monkeypatch.setattr(storage, "entries", entries)
    facts = dataclasses.replace(FACTS, duration_s=10_000 * 60.0)
    job = make_job(facts=facts)
    grants = Grants(storage, segment_s=20.0, clock=time.time)
    found = {number: segment_keys(JOB, number, 1) for number in range(1000)}

    async def finished(lots):
        return found

    monkeypatch.setattr(grants, "_find_finished", finished)
    work = asyncio.create_task(grants.draw_up(job, make_attempt(2), "cuda", UNTIL, []))
    longest, beats = 0.0, 0
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest, beats = max(longest, time.perf_counter() - began), beats + 1
    data = await work
    grant = from_json(Grant, data)
    assert (len(grant.segments), len(grant.finished)) == (1001, 1000)
    assert len(data) < _LARGEST_GRANT / 1.5
    # it was looked at again and again while four thousand URLs were signed
    assert beats > 10
    assert longest < 0.5


async def test_a_weight_file_that_the_task_names_is_granted_and_no_other(folder):
    for name in ("mine.pth", "other.pth"):
        await folder.write(f"input/models/{name}", b"weights")
    task = Task(mode=Mode.BOTH, model="input/models/mine.pth", interpolator="rife-4.25")
    grant = await draw_up(folder, make_job(task=task))
    assert set(grant.weights) == {"input/models/mine.pth"}
    assert grant.weights["input/models/mine.pth"].endswith("storage/input/models/mine.pth")
    unused = Task(mode=Mode.INTERP, model="input/models/mine.pth")
    assert (await draw_up(folder, make_job(task=unused))).weights == {}


async def test_a_file_of_this_computer_is_granted_by_its_url(folder, tmp_path):
    path = tmp_path / "my weights.pth"
    path.write_bytes(b"weights")
    grant = await draw_up(folder, make_job(task=Task(model=str(path))))
    assert grant.weights == {str(path): path.as_uri()}


async def test_published_files_in_the_mirror_are_offered_by_their_names(folder):
    for name in ("RealESRGAN_x4plus.pth", "flownet_v4.25.pkl", "secret.pth", "sub/x2.pth"):
        await folder.write(f"models/{name}", b"weights")
    grant = await draw_up(folder)
    assert set(grant.weights) == {"RealESRGAN_x4plus.pth", "flownet_v4.25.pkl"}
    assert grant.weights["flownet_v4.25.pkl"].endswith("storage/models/flownet_v4.25.pkl")


async def test_a_mirror_out_of_reach_fails_no_job_and_is_not_asked_all_the_time(
    folder, monkeypatch
):
    asked = []

    async def entries(prefix):
        asked.append(prefix)
        if len(asked) == 2:
            raise StorageError("no answer")
        return await FolderStorage.entries(folder, prefix)

    await folder.write("models/flownet_v4.6.pkl", b"weights")
    monkeypatch.setattr(folder, "entries", entries)
    now = [0.0]
    grants = Grants(folder, segment_s=20.0, clock=lambda: now[0] + 1e9)
    seen = []
    for now[0] in (0, 200, 301, 350, 700):
        text = await grants.draw_up(make_job(), make_attempt(), "cpu", UNTIL, [])
        seen.append(set(from_json(Grant, text).weights))
    assert seen == [{"flownet_v4.6.pkl"}] * 5
    assert len(asked) == 3


async def test_a_grant_that_is_logged_by_mistake_shows_no_url(folder):
    await leave(folder, JOB, 0, 1)
    grant = await draw_up(folder, number=2)
    assert "://" in grant.source_url
    assert not any("://" in repr(each) for each in (grant, grant.segments[0]))

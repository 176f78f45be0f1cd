import gc
import hashlib
import json
import random
import weakref
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_runner import pipeline, production
from remote_runner.errors import Cancelled, InputError
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.segments import FolderStore, Numbering, fingerprint, follow
from remote_runner.video import decode, segment
from remote_runner.video.join import DecodingClock
from remote_runner.video.segment import reorder_depth
from tests.runner.test_resume import EXACT, film, shown

BOTH = replace(EXACT, mode=Mode.BOTH)


def interrupt(source, output, store, equipment, task=BOTH, after=90):
    seen = []
    with pytest.raises(Cancelled):
        process(
            source,
            output,
            task,
            equipment=equipment,
            store=store,
            segment_s=0.5,
            progress=seen.append,
            should_stop=lambda: len(seen) > after,
        )


def go_on(source, output, store, equipment, task=BOTH):
    return process(source, output, task, equipment=equipment, store=store, segment_s=0.5)


@pytest.fixture
def source(tmp_path):
    return film(tmp_path / "in.mp4")


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "segments")


def test_segments_are_kept_with_manifests_and_counted(tmp_path, source, store, equipment):
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    kept = [json.loads(path.read_text()) for path in sorted(store.folder.glob("*.json"))]
    assert len(kept) >= 2
    assert [each["number"] for each in kept] == list(range(len(kept)))
    for first, second in pairwise(kept):
        assert first["next_at"] == second["begin_at"]
        assert first["end"] == second["first"] > first["last"]
    assert kept[0]["pictures"] * 2 == kept[0]["frames"] == 24
    seen = []
    report = process(
        source,
        tmp_path / "out.mp4",
        BOTH,
        equipment=equipment,
        store=store,
        segment_s=0.5,
        progress=seen.append,
    )
    frames = [each for each in seen if each.done]
    resumed = sum(each["frames"] for each in kept)
    assert (report.resumed_frames, report.frames) == (resumed, 144)
    assert frames[0].done == resumed + 1 and frames[0].segments == len(kept)
    assert frames[-1].done == frames[-1].total == 144


def test_a_segment_can_be_played_by_itself(tmp_path, source, store, equipment):
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    with av.open(str(store.path(1))) as container:
        frames = list(container.decode(video=0))
        times = [frame.pts * frame.time_base for frame in frames]
    assert len(frames) == 24
    assert times[0] == Fraction(12 * 1001, 24000)


@pytest.mark.parametrize("harm", ["content", "size", "manifest", "gone"])
def test_a_segment_that_is_not_what_it_was_is_made_again(tmp_path, source, store, equipment, harm):
    whole = process(source, tmp_path / "whole.mp4", BOTH, equipment=equipment, segment_s=0.5)
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    path = store.path(1)
    data = bytearray(path.read_bytes())
    if harm == "content":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "size":
        path.write_bytes(data[:-1])
    elif harm == "manifest":
        path.with_suffix(".json").write_text("{}")
    else:
        path.unlink()
    report = go_on(source, tmp_path / "out.mp4", store, equipment)
    assert report.resumed_frames == 24
    assert shown(report.output) == shown(whole.output)


@pytest.mark.parametrize("lie", ["junk", "another segment", "depth"])
def test_an_old_segment_never_fails_the_work(tmp_path, source, store, equipment, lie):
    """Its manifest and hash are fine, it is just of no use."""
    whole = process(source, tmp_path / "whole.mp4", BOTH, equipment=equipment, segment_s=0.7)
    seen = []
    with pytest.raises(Cancelled):
        process(
            source,
            tmp_path / "out.mp4",
            BOTH,
            equipment=equipment,
            store=store,
            segment_s=0.7,
            progress=seen.append,
            should_stop=lambda: len(seen) > 100,
        )
    manifest = json.loads((store.folder / "1.json").read_text())
    data = store.path(1).read_bytes()
    if lie == "junk":
        data = b"junk" * 100
    elif lie == "another segment":
        data = store.path(0).read_bytes()[: len(data) // 2]
    else:
        manifest["depth"] = -5
    store.path(1).write_bytes(data)
    manifest |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (store.folder / "1.json").write_text(json.dumps(manifest))
    report = process(
        source, tmp_path / "out.mp4", BOTH, equipment=equipment, store=store, segment_s=0.7
    )
    assert shown(report.output) == shown(whole.output)


def test_another_task_or_source_in_the_same_folder_starts_anew(tmp_path, source, store, equipment):
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    other = film(tmp_path / "other.mp4", count=60)
    for file, task in ((source, replace(BOTH, crf=1)), (source, EXACT), (other, BOTH)):
        report = go_on(file, tmp_path / "out.mp4", store, equipment, task)
        assert report.resumed_frames == 0
    assert fingerprint(other) != fingerprint(source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_segments_of_another_encoder_join(
    tmp_path, source, store, equipment, monkeypatch, codec, suffix
):
    task = Task(mode=Mode.BOTH, codec=codec, crf=4, preset="ultrafast")
    other = {
        "h264": {"preset": "slow", "x264-params": "ref=5:bframes=4:cabac=1:8x8dct=1"},
        "hevc": {"preset": "medium", "x265-params": "log-level=error:bframes=4:ctu=32"},
    }[codec]
    own = segment.configure
    with monkeypatch.context() as patch:
        patch.setattr(
            segment,
            "configure",
            lambda stream, plan: own(stream, replace(plan, options=plan.options | other)),
        )
        interrupt(source, tmp_path / "o.mp4", store, equipment, task)
    report = process(
        source,
        tmp_path / "out.bin",
        task,
        equipment=equipment,
        store=store,
        segment_s=0.5,
        container=suffix,
    )
    whole = process(source, tmp_path / "w.bin", task, equipment=equipment, container=suffix)
    assert report.resumed_frames >= 48
    mine, theirs = frames_of(report.output), frames_of(whole.output)
    assert [at for at, _ in mine] == [at for at, _ in theirs]
    far = max(abs(a.astype(int) - b.astype(int)).mean() for (_, a), (_, b) in zip(
        mine, theirs, strict=True))  # fmt: skip
    assert far < 3
    with av.open(str(report.output)) as container:  # a player may jump anywhere
        video = container.streams.video[0]
        for at in (2.6, 0.7, 1.9):
            container.seek(int(at / video.time_base), stream=video)
            frame = next(container.decode(video))
            assert not frame.is_corrupt


def frames_of(path):
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, frame.to_ndarray())
            for frame in container.decode(video=0)
        ]


def test_segments_are_half_open_stretches_of_the_source():
    numbering = Numbering(100, 0.5, Fraction(1, 1000))
    assert [numbering.number(at) for at in (50, 100, 599, 600, 1099, 1100)] == [0, 0, 0, 1, 1, 2]


def test_only_a_row_without_gaps_is_gone_on_behind(tmp_path, source, store, equipment):
    interrupt(source, tmp_path / "out.mp4", store, equipment, after=130)
    manifests = store.manifests(json.loads((store.folder / "0.json").read_text())["recipe"])
    numbering = Numbering(0, 0.5, Fraction(1, 24000))
    assert [each.number for each in follow(manifests, numbering)] == sorted(manifests)
    assert len(manifests) >= 3
    assert store.manifests("another") == {}
    without = {number: each for number, each in manifests.items() if number != 1}
    assert [each.number for each in follow(without, numbering)] == [0]
    assert follow({}, numbering) == []


def test_an_empty_stretch_has_no_segment(tmp_path, equipment):
    from tests.runner.clips import make_clip

    times = [0, 3, 6, 100, 103, 106, 109]
    source = make_clip(tmp_path / "in.mkv", times=times, time_base="1/24")
    store = FolderStore(tmp_path / "segments")
    interrupt(source, tmp_path / "o.mkv", store, equipment, EXACT, after=6)
    assert {path.stem for path in store.folder.glob("*.json")} == {"0", "8"}
    report = go_on(source, tmp_path / "o.mkv", store, equipment, EXACT)
    assert (report.resumed_frames, report.frames) == (6, 7)
    assert [float(at) for at, _ in shown(report.output)[0]] == pytest.approx(
        [at / 24 for at in times], abs=0.001
    )


def test_a_source_that_does_not_go_with_its_segments_is_worked_on_anew(
    tmp_path, source, store, equipment, monkeypatch
):
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    whole = production.Origin
    monkeypatch.setattr(
        production, "Origin", lambda **known: whole(**known | {"previous": known["previous"] + 1})
    )
    report = go_on(source, tmp_path / "out.mp4", store, equipment)
    assert (report.resumed_frames, report.frames) == (0, 144)


def test_a_source_that_cannot_be_entered_in_its_middle_is_worked_on_anew(
    tmp_path, source, store, equipment, monkeypatch
):
    def refuse(*_):
        raise InputError(Reason.CORRUPT, "seeking")

    renderers, plan_work = [], pipeline.plan_work

    def plan(*args):
        held.append([each() for each in renderers if each() is not None])
        planned = plan_work(*args)
        renderers.append(weakref.ref(planned.renderer))
        return planned

    held = []
    interrupt(source, tmp_path / "out.mp4", store, equipment)
    gc.collect()
    monkeypatch.setattr(decode, "find_entry", refuse)
    monkeypatch.setattr(pipeline, "plan_work", plan)
    report = go_on(source, tmp_path / "out.mp4", store, equipment)
    assert (report.resumed_frames, report.frames) == (0, 144)
    assert held == [[], []]  # two of them may not fit on a card


@given(st.data())
def test_joined_packets_are_decoded_in_order_and_in_time(data):
    """Closed segments with any reorder, and any distances between frames."""
    rng = random.Random(data.draw(st.integers(0, 1 << 30)))
    at, segments = data.draw(st.integers(-500, 500)), []
    for size in data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=5)):
        shown_at = []
        for _ in range(size):
            shown_at.append(at)
            at += rng.choice((1, 1, 7, 400))
        rest = shown_at[1:]
        for _ in range(rng.randrange(4)):
            if len(rest) > 1:
                place = rng.randrange(len(rest) - 1)
                rest.insert(place, rest.pop(rng.randrange(place, len(rest))))
        segments.append([shown_at[0], *rest])
    depth = max(reorder_depth(each) for each in segments)
    everything = [at for each in segments for at in each]
    clock = DecodingClock(depth, sorted(everything)[: depth + 1])
    dts = [at for each in segments for at in clock.times(sorted(each))]
    assert len(dts) == len(everything)
    assert all(first < second for first, second in pairwise(dts))
    assert all(late <= pts for late, pts in zip(dts, everything, strict=True))

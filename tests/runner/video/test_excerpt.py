"""Excerpts: the busiest seconds, with exactly the same pictures, whatever the file is like."""

import numpy as np
import pytest
import torch

from remote_runner.errors import InputError
from remote_runner.protocol import NOTES, Mode, Task
from remote_runner.sampling import process_sample
from remote_runner.video import stretch
from remote_runner.video.excerpt import cut_excerpt
from remote_runner.video.moments import Reader
from remote_runner.video.probe import probe
from tests.runner.clips import make_clip, moving_texture, payloads, video_times
from tests.runner.video.excerpts import shown_in
from tests.runner.video.test_difficult import TABLE

QUICK = (
    "hdr10", "variable_rate_mkv", "interlaced", "turned_and_mirrored", "odd_size", "anamorphic",
    "intra_refresh", "h264_avi_with_b_frames", "h264_stream", "times_that_begin_anew",
)  # fmt: skip
#: Its excerpt says of itself what is noted here, by the fact that it is a file of another kind.
LOST = {
    "timestamps_guessed", "timestamps_repaired", "several_video_streams", "frames_missing",
    "damaged_packets", "size_changes", "converted", "matrix_treated_as_bt709:ycgco",
}  # fmt: skip
#: Too short to be halved, or wrong in a place that a sample may well never look at.
UNLIKE = {"dv", "cut_avi", "cut_flv", "cut_mkv", "cut_webm", "many_damages"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def half_busy(folder, *, keyint, suffix="mp4", audio=1):
    """Four seconds that stand still, then two that move, then two that stand still."""
    moving = moving_texture(48, 64, 48)
    frames = [moving[0]] * 96 + moving + [moving[-1]] * 48
    return make_clip(
        folder / f"in.{suffix}", count=192, frames=frames, audio=audio,
        options={"crf": "10", "g": str(keyint), "bf": "2"},
    )  # fmt: skip


def is_part(part, whole):
    return any(whole[k : k + len(part)] == part for k in range(len(whole)))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_the_moving_part_is_found_and_its_packets_are_taken(tmp_path, suffix):
    source = half_busy(tmp_path, keyint=24, suffix=suffix)
    excerpt = cut_excerpt(source, tmp_path, 1.5)
    assert 3.9 < excerpt.start_s < 4.6
    before, after = probe(source), probe(excerpt.path)
    assert (after.container, after.audio) == (before.container, before.audio)
    ((_, _, old),), ((_, _, new),) = payloads(source, "video"), payloads(excerpt.path, "video")
    assert is_part([data for _, data in new], [data for _, data in old])
    assert 1.3 < after.duration_s <= 1.5 + 1 / 24
    frames = shown_in(excerpt.path)
    assert len(frames) == after.frames
    assert is_part(frames, shown_in(source))
    ((_, _, old),), ((_, _, new),) = payloads(source, "audio"), payloads(excerpt.path, "audio")
    assert is_part([data for _, data in new], [data for _, data in old])
    assert abs(float(new[0][0] - video_times(excerpt.path)[0])) < 0.03
    assert 1.3 < len(new) * 1024 / 48_000 < 1.6


def test_in_one_long_group_of_pictures_every_frame_is_encoded_anew_without_loss(tmp_path):
    source = half_busy(tmp_path, keyint=400)
    excerpt = cut_excerpt(source, tmp_path, 1.5)
    assert 3.9 < excerpt.start_s < 4.6
    frames = shown_in(excerpt.path)
    assert len(frames) == 36
    assert is_part(frames, shown_in(source))
    ((_, _, old),), ((_, _, new),) = payloads(source, "audio"), payloads(excerpt.path, "audio")
    assert is_part([data for _, data in new], [data for _, data in old])


def test_a_long_film_costs_no_more_than_a_short_one(tmp_path, monkeypatch):
    moving = moving_texture(48, 64, 48)
    frames = [moving[0]] * 1200 + moving + [moving[-1]] * 752
    source = make_clip(
        tmp_path / "in.mkv", count=2000, frames=frames,
        options={"preset": "ultrafast", "crf": "20", "g": "24"},
    )  # fmt: skip
    monkeypatch.setattr(stretch, "_FEW_FRAMES", 100)
    decoded = []
    frames_of = Reader.frames

    def counted(self, at_s):
        for frame in frames_of(self, at_s):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(Reader, "frames", counted)
    excerpt = cut_excerpt(source, tmp_path, 1.0)
    assert len(decoded) < 800
    assert probe(excerpt.path).duration_s <= 1.0 + 1 / 24
    assert excerpt.start_s + 1.0 <= 2000 / 24 + 0.001


def test_a_scene_that_stands_still_gives_a_part_too(tmp_path):
    frames = [np.full((48, 64, 3), 90, np.uint8)] * 96
    source = make_clip(tmp_path / "in.mp4", count=96, frames=frames)
    excerpt = cut_excerpt(source, tmp_path, 1.0)
    assert 0.8 < probe(excerpt.path).duration_s <= 1.0 + 1 / 24


def test_what_is_no_longer_than_that_is_taken_whole(tmp_path, clip):
    excerpt = cut_excerpt(clip, tmp_path, 3.0)
    assert (excerpt.path, excerpt.start_s) == (clip, 0.0)


def sample(name, folder, equipment):
    row = TABLE[name]
    source = row.make(folder)
    if row.refused is not None:
        with pytest.raises(InputError) as refusal:
            process_sample(
                source, folder / "out.bin", Task(), 1.0, folder=folder, equipment=equipment
            )
        assert refusal.value.reason is row.refused
        return
    facts = probe(source)
    seconds = facts.duration_s / 2
    report, excerpt = process_sample(
        source, folder / "out.bin", Task(mode=Mode.BOTH, preset="ultrafast"), seconds,
        folder=folder, equipment=equipment,
    )  # fmt: skip
    assert all(check.passed for check in report.checks)
    assert report.facts.duration_s <= seconds + max(0.06, 1.2 * facts.duration_s / facts.frames)
    assert {note.partition(":")[0] for note in report.notes} <= NOTES
    assert [note for note in report.notes if note.startswith("sample:")]
    for wanted in set(row.notes) - LOST:
        assert [note for note in report.notes if note.startswith(wanted)], report.notes
    found = probe(excerpt)
    for fact in ("width", "height", "rotation", "sar", "bit_depth", "range", "transfer"):
        assert getattr(found, fact) == getattr(facts, fact)


@pytest.mark.parametrize("name", QUICK)
def test_difficult_videos_give_samples(tmp_path, equipment, name):
    sample(name, tmp_path, equipment)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*TABLE} - UNLIKE))
def test_all_difficult_videos_give_samples(tmp_path, equipment, name):
    sample(name, tmp_path, equipment)


@pytest.mark.parametrize("name", ["gif", "hlg", "odd_size", "yuv444p", "unflagged"])
def test_samples_are_made_of_exactly_the_same_pictures(tmp_path, name):
    row = TABLE[name]
    source = row.make(tmp_path)
    excerpt = cut_excerpt(source, tmp_path, probe(source).duration_s / 2)
    frames = shown_in(excerpt.path)
    assert frames
    assert is_part(frames, shown_in(source))

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from remote_runner.errors import InputError
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.video.probe import probe
from remote_runner.video.timing import Grid, Multiplied, plan_timeline
from tests.runner.clips import make_clip, video_times

MS = Fraction(1, 1000)
INTERP = Task(mode=Mode.INTERP)


def moments(timeline, times, end):
    slots = []
    for first, second in pairwise(times):
        slots += [
            (slot.at * timeline.time_base, slot.t) for slot in timeline.between(first, second)
        ]
    slots += [(slot.at * timeline.time_base, slot.t) for slot in timeline.last(times[-1], end)]
    return slots


def test_upscaling_keeps_every_time_of_a_variable_frame_rate(tmp_path, equipment):
    times = [0, 3, 4, 9, 10, 11, 30, 31]
    source = make_clip(tmp_path / "in.mp4", times=times, time_base="1/60")
    report = process(source, tmp_path / "out.mp4", Task(), equipment=equipment)
    assert video_times(report.output) == video_times(source)
    assert video_times(source) == [Fraction(at, 60) for at in times]
    assert report.facts.vfr


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_factor_multiplies_the_rate_exactly_and_keeps_the_duration(tmp_path, equipment, factor):
    source = make_clip(tmp_path / "in.mp4")
    task = replace(INTERP, factor=factor)
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    assert report.frames == 12 * factor
    assert report.facts.fps == str(24 * factor)
    assert report.facts.duration_s == pytest.approx(0.5, abs=1e-6)
    assert set(video_times(source)) <= set(video_times(report.output))


def test_a_factor_keeps_a_variable_frame_rate_variable(tmp_path, equipment):
    times = [0, 3, 4, 9, 10]
    source = make_clip(tmp_path / "in.mp4", times=times, time_base="1/60")
    report = process(source, tmp_path / "out.mp4", INTERP, equipment=equipment)
    found = video_times(report.output)
    assert found[:9] == [Fraction(at, 120) for at in (0, 3, 6, 7, 8, 13, 18, 19, 20)]
    assert len(found) == 10


@pytest.mark.parametrize("fps", ["60", "60000/1001", "48", "30", "23.976", "12"])
def test_a_grid_is_exact_and_keeps_the_duration(tmp_path, equipment, fps):
    source = make_clip(tmp_path / "in.mp4", count=24)
    task = replace(INTERP, fps=fps)
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    rate = {"23.976": Fraction(24000, 1001)}.get(fps) or Fraction(fps)
    assert Fraction(report.facts.fps) == rate
    assert report.frames == round(1 * rate)
    assert video_times(report.output) == [n / rate for n in range(report.frames)]


def test_a_grid_from_24_to_48_takes_every_source_frame_as_it_is():
    timeline = Grid(Fraction(1, 12288), Fraction(48), 0)
    slots = moments(timeline, [n * 512 for n in range(24)], 24 * 512)
    assert [t for _, t in slots] == [0, Fraction(1, 2)] * 23 + [0, 0]


def test_a_grid_snaps_to_frames_that_matroska_rounded():
    times = [round(Fraction(n, 24) / MS) for n in range(24)]
    slots = moments(Grid(MS, Fraction(48), 0), times, 1000)
    assert [t == 0 for _, t in slots[::2]] == [True] * 24
    assert all(0.4 < t < 0.6 for _, t in slots[1:-1:2])
    assert len(slots) == 48


def test_24_to_60_lies_at_two_fifths_of_the_way():
    timeline = Grid(Fraction(1, 24), Fraction(60), 0)
    slots = moments(timeline, list(range(5)), 5)
    expected = [Fraction(n * 2 % 5, 5) for n in range(10)]
    assert [t for _, t in slots[:10]] == expected
    assert [at for at, _ in slots] == [Fraction(n, 60) for n in range(12)] + [Fraction(12, 60)]


def test_ticks_stay_within_what_containers_can_count():
    timeline = Multiplied(Fraction(1, 999_999_937), 3)
    assert timeline.time_base == Fraction(1, 90_000)
    assert timeline.time_base.denominator < 2**31


def test_a_late_start_is_kept(tmp_path, equipment):
    for name in ("in.mkv", "in.mp4"):
        source = make_clip(tmp_path / name, audio=1, start_s=2)
        for task in (Task(), INTERP, replace(INTERP, fps="60")):
            report = process(source, tmp_path / f"out_{name}", task, equipment=equipment)
            times = video_times(report.output)
            assert times[0] == video_times(source)[0] == pytest.approx(2, abs=0.001)


def test_a_slide_show_stands_still_instead_of_morphing(tmp_path, equipment):
    times = [0, 24, 120, 121]
    source = make_clip(tmp_path / "in.mp4", times=times, time_base="1/24")
    timeline = plan_timeline(replace(INTERP, fps="6"), Fraction(6), Fraction(1, 24), 0)
    assert len(list(timeline.between(24, 120))) > 10
    report = process(source, tmp_path / "out.mp4", replace(INTERP, fps="6"), equipment=equipment)
    assert report.checks and all(check.passed for check in report.checks)


def test_asking_for_the_rate_that_is_there_is_refused(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4")
    with pytest.raises(InputError) as refusal:
        process(source, tmp_path / "o.mp4", replace(INTERP, fps="24"), equipment=equipment)
    assert refusal.value.reason is Reason.NOTHING_TO_DO
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_exact_rate_is_found_in_every_container(tmp_path, rate, suffix):
    source = make_clip(tmp_path / f"in.{suffix}", rate=Fraction(rate), count=40)
    facts = probe(source)
    assert (facts.fps, facts.vfr) == (rate, False)

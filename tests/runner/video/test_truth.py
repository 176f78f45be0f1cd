"""Outputs against what is known of their sources: times, order, sound."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from remote_runner.errors import InputError
from remote_runner.limits import in_time
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.video.census import Census, rate_of
from remote_runner.video.timing import USUAL_RATES
from tests.runner.clips import decoded, make_clip, payloads, video_times

AUDIO = {"mp4": "aac", "mov": "aac", "mkv": "aac", "webm": "libopus", "ts": "aac"}
RATE = Fraction(24_000, 1001)
QUICK = {"preset": "ultrafast"}
BITS, BLOCK = 8, 16


def source_of(folder, suffix, **how):
    webm = {"codec": "libvpx", "options": {"deadline": "realtime", "crf": "4", "b": "2M"}}
    settings = {"count": 30, "rate": RATE, "audio": 1, "audio_codec": AUDIO[suffix], **how}
    return make_clip(folder / f"in.{suffix}", **{**(webm if suffix == "webm" else {}), **settings})


def wishes(suffix):
    return {"container": "auto" if suffix == "ts" else suffix}


@pytest.mark.parametrize("suffix", AUDIO)
def test_upscaling_keeps_the_exact_list_of_times_and_the_sound(tmp_path, equipment, suffix):
    source = source_of(tmp_path, suffix)
    task = Task(**QUICK, **wishes(suffix))
    report = process(source, tmp_path / "out.x", task, equipment=equipment)
    before, after = video_times(source), video_times(report.output)
    if report.extension in ("mp4", "mov", "webm") or suffix == "mkv":
        assert after == before
    else:  # the ticks of MPEG-TS come to Matroska's milliseconds
        assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(after, before, strict=True))
    assert abs(report.facts.duration_s - report.source.duration_s) <= float(1 / RATE)
    assert report.facts.fps == "24000/1001"
    if suffix != "ts":  # there, packets are cut and headed in another way
        sound = [data for _, data in payloads(source, "audio")[0][2]]
        assert [data for _, data in payloads(report.output, "audio")[0][2]] == sound


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "ts"])
def test_sixty_from_film_is_the_exact_grid(tmp_path, equipment, suffix):
    source = source_of(tmp_path, suffix, count=48)
    task = Task(mode=Mode.INTERP, fps="60", container="mp4", **QUICK)
    report = process(source, tmp_path / "out.x", task, equipment=equipment)
    start = video_times(report.output)[0]
    assert video_times(report.output) == [start + Fraction(n, 60) for n in range(report.frames)]
    assert report.frames in (120, 121)
    assert abs(report.facts.duration_s - 48 / float(RATE)) <= 1 / 24


def painted(i, frame):
    """The number of a frame as black and white blocks."""
    luma, *chroma = [torch.from_dlpack(plane) for plane in frame.planes]
    luma.fill_(60)
    for bit in range(BITS):
        luma[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 220 if i >> bit & 1 else 30
    for plane in chroma:
        plane.fill_(128)


def numbers(path, scale):
    side = BLOCK * scale
    return [
        sum(
            (luma[4 : side - 4, bit * side + 4 : (bit + 1) * side - 4].mean() > 128) << bit
            for bit in range(BITS)
        )
        for luma in decoded(path)
    ]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize("mode", Mode)
def test_a_painted_counter_survives_in_order(tmp_path, equipment, suffix, mode):
    source = source_of(tmp_path, suffix, width=BITS * BLOCK, planes=painted, count=60)
    task = Task(mode=mode, **QUICK, **wishes(suffix))
    report = process(source, tmp_path / "out.x", task, equipment=equipment, segment_s=1.0)
    found = numbers(report.output, 2 if mode.upscales else 1)
    assert found[:: 2 if mode.interpolates else 1] == list(range(60))


def flash_and_beep(path, *, times, base, flash, late_s, sound_codec, **how):
    """White in one frame, and a beep that begins as it does, both later by ``late_s``."""

    def light(i, frame):
        for place, plane in enumerate(frame.planes):
            torch.from_dlpack(plane).fill_(128 if place else (235 if i == flash else 20))

    silent = path.with_name(f"silent{path.suffix}")
    make_clip(silent, times=times, time_base=base, planes=light, **how)
    begin = round((times[flash] * Fraction(base) + Fraction(late_s)) * 48_000)
    wave = np.zeros(begin + 9600, np.int16)
    wave[begin : begin + 4800] = (np.sin(np.arange(4800) * 0.3 + 1) * 20_000).astype(np.int16)
    with av.open(str(silent)) as old, av.open(str(path), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        sound = new.add_stream(sound_codec, rate=48_000, layout="mono")
        late = round(Fraction(late_s) / old.streams.video[0].time_base)
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts += late
                packet.dts = None if packet.dts is None else packet.dts + late
                packet.stream = video
                new.mux(packet)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        new.mux([*sound.encode(frame), *sound.encode(None)])
    return path


def distance(path):
    """From the flash to the beep, seconds."""
    with av.open(str(path)) as container:
        light = [(frame.time, plane_mean(frame)) for frame in container.decode(video=0)]
    shown = next(at for at, level in light if level > 180)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            full = 32_768 if "s16" in frame.format.name else 1
            found = np.flatnonzero(loud > 0.15 * full)
            if len(found):
                return frame.time + found[0] / frame.sample_rate - shown
    raise AssertionError("no beep")


def plane_mean(frame):
    return float(torch.from_dlpack(frame.planes[0]).float().mean())


@pytest.mark.parametrize("late_s", ["0", "0.04"])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("varies", [False, True], ids=["constant", "variable"])
def test_flash_and_beep_keep_their_distance(tmp_path, equipment, suffix, late_s, varies):
    times = [0, 40, 90, 130, 250, 300, 420, 460, 500, 580, 600, 640] if varies else [
        n * 40 for n in range(16)
    ]  # fmt: skip
    webm = {"codec": "libvpx", "options": {"deadline": "realtime", "crf": "4"}}
    source = flash_and_beep(
        tmp_path / f"in.{suffix}",
        times=times,
        base="1/1000",
        flash=6,
        late_s=late_s,
        sound_codec="libopus" if suffix == "webm" else "aac",
        **(webm if suffix == "webm" else {"options": {"bf": "2", "crf": "10"}}),
    )
    for mode in (Mode.UPSCALE, Mode.BOTH):
        task = Task(mode=mode, **QUICK, **wishes(suffix))
        report = process(source, tmp_path / "out.x", task, equipment=equipment)
        assert all(check.passed for check in report.checks)
        assert distance(report.output) == pytest.approx(distance(source), abs=0.001)


class Stream:
    """What a demuxer tells of a rate: nothing, or the duration of a frame, rounded."""

    def __init__(self, base, told=None):
        self.time_base = base
        self.average_rate = self.guessed_rate = self.base_rate = told


@pytest.mark.parametrize("ticks", [1000, 90_000, 16_000])
@pytest.mark.parametrize("count", [24, 2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_usual_rates_are_found_behind_rounded_times(ticks, count):
    base = Fraction(1, ticks)
    for rate in USUAL_RATES:
        census = Census()
        for n in range(count):
            at = round(n / rate / base)
            if ticks == 16_000:  # through milliseconds into something finer
                at = round(n / rate * 1000) * 16
            census.times.append(at)
        census.longest = census.times[-1]
        census.last_duration = round(1 / rate / base)
        told = Fraction(1_000_000_000, round(1_000_000_000 / rate)).limit_denominator(30_000)
        assert rate_of(census, Stream(base, told)) == (rate, False)
        if count >= 2000:
            assert rate_of(census, Stream(base)) == (rate, False)


def test_a_missing_frame_makes_a_rate_variable_even_in_whole_frames():
    census = Census()
    census.times.extend([0, 2, 3, 4, 5, 6])
    census.longest, census.last_duration = 6, 1
    assert rate_of(census, Stream(Fraction(1, 24), Fraction(24)))[1]


def test_looking_into_a_file_that_never_ends_is_given_up():
    release = threading.Event()
    with pytest.raises(InputError) as refusal:
        in_time(lambda: release.wait(30), 0.05)
    release.set()
    assert refusal.value.reason is Reason.PROBE_LIMIT
    assert in_time(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 / 0, 5)

import struct
from fractions import Fraction

import av
import pytest

from remote_runner.errors import InputError
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.task import PRESETS
from remote_runner.video.encode import LONGEST, plan_encoder
from remote_runner.video.geometry import plan_geometry
from remote_runner.video.signal import Chroma, HdrSideData, Signal
from remote_runner.video.source import siting_of
from tests.runner.clips import make_clip, video_times

#: BT.2020 primaries, D65, 0.005 to 1000 cd/m², in the order of FFmpeg's structure.
PRIMARIES = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
MASTERING = struct.pack(
    "=20i2i", *(x for each in PRIMARIES for x in (each, 50_000)), 50, 10_000, 1000, 1, 1, 1
)
HDR = HdrSideData(mastering=MASTERING, light_level=struct.pack("=2I", 987, 321))


def a_signal(bits=8, chroma=Chroma.C420, **changes):
    name = {Chroma.C420: "yuv420p", Chroma.C444: "yuv444p", Chroma.GRAY: "gray"}[chroma]
    values = {"full_range": False, "matrix": 1, "primaries": 1, "transfer": 1, "used_matrix": 1}
    return Signal(
        chroma=chroma, bits=bits, pix_fmt=name + ("10le" if bits > 8 else ""), **values | changes
    )


def plan(task, signal=None, width=640, height=360, side_data=HDR, frames=100):
    signal = signal or a_signal()
    geometry = plan_geometry(task, width, height, Fraction(1), signal.chroma)
    return plan_encoder(
        task,
        signal,
        geometry,
        rate=Fraction(24),
        time_base=Fraction(1, 24),
        frames=frames,
        side_data=side_data,
    )


def test_the_codec_follows_depth_size_and_container():
    assert plan(Task()).codec == "h264"
    assert plan(Task(), width=2050).codec == "hevc"
    assert plan(Task(), a_signal(10)).codec == "hevc"
    assert plan(Task(container="webm")).codec == "av1"
    assert plan(Task(mode=Mode.INTERP), a_signal(10), width=48).codec == "h264"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_what_a_codec_cannot_hold_is_refused(codec):
    task = Task(mode=Mode.INTERP, codec=codec)
    side = LONGEST[codec]
    assert plan(task, width=side, height=64).width == side
    if side < 8192:
        with pytest.raises(InputError) as refusal:
            plan(task, width=side + 2, height=64)
        assert refusal.value.reason is Reason.BAD_TASK
    with pytest.raises(InputError):
        plan(Task(mode=Mode.INTERP, codec="hevc"), width=48, height=64)


def test_presets_and_quality_are_put_into_the_words_of_each_encoder():
    numbers = [int(plan(Task(codec="av1", preset=each)).options["preset"]) for each in PRESETS]
    assert numbers == sorted(numbers, reverse=True)
    assert all(0 <= each <= 13 for each in numbers)
    assert plan(Task(codec="av1")).options["crf"] == "30"
    assert plan(Task(codec="av1", crf=63)).options["crf"] == "63"
    slow = plan(Task(preset="slow")).options
    assert (slow["crf"], slow["preset"]) == ("18", "slow")
    assert slow["x264-params"].startswith("mastering-display=G(13250,34500)")
    assert slow["x264-params"].endswith(":cll=987,321")


def test_av1_is_420_alone():
    for bits in (8, 10):
        for chroma in (Chroma.C444, Chroma.GRAY):
            pix_fmt = plan(Task(codec="av1"), a_signal(bits, chroma)).pix_fmt
            assert pix_fmt == ("yuv420p" if bits == 8 else "yuv420p10le")


def tagged(path):
    """What the first frame of a file says of its display."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        kinds = av.sidedata.sidedata.Type
        found = [
            bytes(frame.side_data[kind])
            for kind in (kinds.MASTERING_DISPLAY_METADATA, kinds.CONTENT_LIGHT_LEVEL)
        ]
        parts = struct.unpack("=20i2i", found[0][:88])
        ratios = [a / b for a, b in zip(parts[0:20:2], parts[1:20:2], strict=True)]
        return ratios, struct.unpack("=2I", found[1][:8])


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr10_goes_along(tmp_path, equipment, codec):
    tags = {"colorspace": 9, "color_range": 1, "color_trc": 16, "color_primaries": 9}
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    source = make_clip(
        tmp_path / "in.mkv",
        width=128,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={
            "x265-params": f"log-level=none:repeat-headers=1:hdr10-opt=1:"
            f"master-display={display}:max-cll=987,321"
        },
        tags=tags,
        count=10,
    )
    task = Task(codec=codec, preset="ultrafast")
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    assert all(check.passed for check in report.checks)
    assert "hdr_processed_as_is" in report.notes
    assert (report.facts.codec, report.facts.bit_depth, report.facts.transfer) == (codec, 10, "pq")
    ratios, light = tagged(report.output)
    wanted = [each / 50_000 for each in PRIMARIES] + [0.005, 1000]
    assert ratios == pytest.approx(wanted, abs=2e-4)
    assert light == (987, 321)


def test_hlg_is_tagged_and_interpolation_alone_does_not_touch_it(tmp_path, equipment):
    tags = {"colorspace": 9, "color_range": 1, "color_trc": 18, "color_primaries": 9}
    source = make_clip(
        tmp_path / "in.mp4",
        width=128,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": "log-level=none"},
        tags=tags,
    )
    task = Task(mode=Mode.INTERP, preset="ultrafast")
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    assert report.facts.transfer == "hlg"
    assert "hdr_processed_as_is" not in report.notes


def test_segments_of_av1_join(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", count=60, audio=1)
    for container in ("mp4", "mkv", "webm"):
        task = Task(codec="av1", preset="ultrafast", container=container)
        report = process(source, tmp_path / "out.x", task, equipment=equipment, segment_s=0.5)
        assert all(check.passed for check in report.checks)
        assert (report.extension, report.facts.codec) == (container, "av1")
        if container == "mp4":
            assert video_times(report.output) == video_times(source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_chroma_stays_tagged_where_the_source_has_it(tmp_path, equipment, codec):
    source = make_clip(
        tmp_path / "in.mp4", width=128, options={"x264-params": "chromaloc=2", "crf": "5"}
    )
    task = Task(codec=codec, preset="ultrafast")
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    assert "siting_assumed:left" in report.notes
    with av.open(str(report.output)) as found:
        assert siting_of(found, found.streams.video[0]) == "topleft"
    plain = make_clip(tmp_path / "plain.mp4", width=128)
    notes = process(plain, tmp_path / "out2.mp4", task, equipment=equipment).notes
    assert not [note for note in notes if note.startswith("siting")]

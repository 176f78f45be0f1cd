import time
from fractions import Fraction

import av
import numpy as np
import pytest
from av.packet import Packet

from remote_runner.errors import Cancelled
from remote_runner.pipeline import process
from remote_runner.protocol import Fit, Mode, Task
from remote_runner.video.verify import Expectation, verify
from tests.runner.clips import make_clip, moving_texture

LINES = [(100, 400, "Привет"), (500, 900, "two\nlines")]
BESIDE = {"audio": 2, "subtitles": [LINES], "chapters": [(0, 500), (500, 1000)]}
TAGGED = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
HDR10 = (
    "log-level=error:repeat-headers=1:hdr10-opt=1:bframes=0:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
VIDEO, AUDIO, TEXT = 0, 1, 3


def clip(path, **changes):
    """One that stands alone frame by frame, so that any can be taken out."""
    options = {"crf": "10", "g": "1"}
    wanted = {"count": 24, "tags": TAGGED, "options": options, "attachment": b"font" * 99}
    return make_clip(path, **{**wanted, **BESIDE, **changes})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("source") / "in.mkv")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("good") / "out.mkv", width=128, height=96)


def remux(old, new, change):
    """Write a copy whose packets ``change(stream, number, packet)`` turns into others."""
    seen = {}
    with av.open(str(old)) as source, av.open(str(new), "w") as target:
        streams = {}
        for each in source.streams:
            if each.type == "attachment":
                target.add_attachment(each.name, each.mimetype, each.data)
            else:
                streams[each.index] = target.add_stream_from_template(each, opaque=True)
        target.set_chapters(source.chapters())
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.size == 0:
                continue
            index = packet.stream_index
            number = seen[index] = seen.get(index, -1) + 1
            for made in change(index, number, packet):
                made.stream = streams[index]
                target.mux_one(made)
    return new


def copy_of(packet, data=None):
    made = Packet(bytes(packet) if data is None else data)
    made.time_base, made.pts, made.dts = packet.time_base, packet.pts, packet.dts
    made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
    return made


def moved(packet, ms):
    packet.pts += ms
    packet.dts += ms
    return packet


def failures(source, output, **options):
    return {check.name for check in verify(source, output, **options) if not check.passed}


def expectation(**changes):
    wanted = {"width": 128, "height": 96, "frames": 24, "kept": (1, 2, 3, 4)}
    return Expectation(**{**wanted, **changes})


def test_a_good_output_passes_every_item(source, good):
    checks = verify(source, good, expectation=expectation(picture=(128, 96)))
    assert [check.name for check in checks if not check.passed] == []
    assert [check.name for check in checks] == [
        "decodes", "frames", "timestamps", "times", "duration", "size", "shape", "rotation",
        "colour", "audio 0", "audio 1", "subtitle 0", "attachments", "chapters",
    ]  # fmt: skip
    assert failures(source, remux(good, good.with_name("same.mkv"), lambda *a: [a[2]])) == set()


def lose_a_frame(stream, number, packet):
    return [] if (stream, number) == (VIDEO, 7) else [packet]


def lose_the_last_frame(stream, number, packet):
    return [] if (stream, number) == (VIDEO, 23) else [packet]


def add_a_frame(stream, number, packet):
    return [packet, moved(copy_of(packet), 20)] if (stream, number) == (VIDEO, 7) else [packet]


def repeat_a_time(stream, number, packet):
    return [moved(packet, -42)] if (stream, number) == (VIDEO, 7) else [packet]


def delay_a_frame(stream, number, packet):
    return [moved(packet, 5)] if (stream, number) == (VIDEO, 7) else [packet]


def delay_audio(stream, _, packet):
    return [moved(packet, 5)] if stream == AUDIO else [packet]


def delay_an_audio_packet(stream, number, packet):
    return [moved(packet, 5)] if (stream, number) == (AUDIO, 20) else [packet]


def change_an_audio_packet(stream, number, packet):
    if (stream, number) != (AUDIO, 20):
        return [packet]
    data = bytearray(bytes(packet))
    data[9] ^= 1
    return [copy_of(packet, bytes(data))]


def lose_an_audio_packet(stream, number, packet):
    return [] if (stream, number) == (AUDIO, 20) else [packet]


def lose_a_text(stream, number, packet):
    return [] if (stream, number) == (TEXT, 1) else [packet]


def delay_a_text(stream, number, packet):
    return [moved(packet, 5)] if (stream, number) == (TEXT, 1) else [packet]


def damage_a_frame(stream, number, packet):
    if (stream, number) != (VIDEO, 7):
        return [packet]
    return [copy_of(packet, bytes(packet)[:40] + b"\xff" * (packet.size - 40))]


@pytest.mark.parametrize(
    "change, wrong",
    [
        (lose_a_frame, {"frames", "times"}),
        (lose_the_last_frame, {"frames", "times"}),
        (add_a_frame, {"frames", "times"}),
        (repeat_a_time, {"timestamps", "times"}),
        (delay_a_frame, {"times"}),
        (damage_a_frame, {"decodes"}),
        (delay_audio, {"audio 0"}),
        (delay_an_audio_packet, {"audio 0"}),
        (change_an_audio_packet, {"audio 0"}),
        (lose_an_audio_packet, {"audio 0"}),
        (lose_a_text, {"subtitle 0"}),
        (delay_a_text, {"subtitle 0"}),
    ],
)
def test_the_gate_sees_a_packet_that_is_not_right(source, good, tmp_path, change, wrong):
    bad = remux(good, tmp_path / "bad.mkv", change)
    assert failures(source, bad, expectation=expectation()) == wrong
    assert failures(source, bad) == wrong - {"frames"}


@pytest.mark.parametrize(
    "changes, wrong",
    [
        ({"width": 96, "height": 128}, {"size", "shape"}),
        ({"width": 64, "height": 48}, {"size"}),
        ({"sar": "4/3"}, {"shape"}),
        ({"tags": {**TAGGED, "colorspace": 6}}, {"colour"}),
        ({"tags": {**TAGGED, "color_primaries": 6}}, {"colour"}),
        ({"tags": {**TAGGED, "color_trc": 6}}, {"colour"}),
        ({"tags": {**TAGGED, "color_range": 2}}, {"colour"}),
        ({"subtitles": ()}, {"subtitle"}),
        ({"audio": 1}, {"audio"}),
        ({"chapters": [(0, 520), (520, 1000)]}, {"chapters"}),
        ({"chapters": [(0, 500)]}, {"chapters"}),
        ({"attachment": b"fond" * 99}, {"attachments"}),
        ({"attachment": None}, {"attachments"}),
        ({"rate": 25}, {"times", "audio 0", "audio 1"}),
        ({"count": 40}, {"frames", "times", "duration", "audio 0", "audio 1"}),
    ],
)
def test_the_gate_sees_an_output_that_is_not_right(source, tmp_path, changes, wrong):
    bad = clip(tmp_path / "bad.mkv", **{"width": 128, "height": 96, **changes})
    assert failures(source, bad, expectation=expectation()) == wrong


def test_the_gate_sees_a_rotation_that_was_left(tmp_path):
    source = make_clip(tmp_path / "in.mp4", rotation=90)
    upright = make_clip(tmp_path / "good.mp4", width=96, height=128)
    assert failures(source, upright) == set()
    assert failures(source, make_clip(tmp_path / "bad.mp4", width=96, height=128, rotation=180)) \
        == {"rotation"}  # fmt: skip


def test_an_output_that_was_cut_off_does_not_decode(source, good, tmp_path):
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    assert failures(source, bad) == {"decodes"}
    bad.write_bytes(b"no video at all")
    assert failures(source, bad) == {"decodes"}


def test_samples_that_are_not_square_keep_their_shape(tmp_path):
    source = make_clip(tmp_path / "in.mkv", sar="4/3")
    assert failures(source, make_clip(tmp_path / "same.mkv", width=128, height=96, sar="4/3")) \
        == set()  # fmt: skip
    square = make_clip(tmp_path / "square.mkv", width=128, height=72)
    assert failures(source, square) == set()
    boxed = make_clip(tmp_path / "boxed.mkv", width=128, height=128)
    known = Expectation(width=128, height=128, frames=12, picture=(128, 72))
    assert failures(source, boxed, expectation=known) == set()
    assert failures(source, boxed) == {"shape"}
    black = [np.pad(each, ((28, 28), (0, 0), (0, 0))) for each in moving_texture(12, 128, 72)]
    bordered = make_clip(tmp_path / "bordered.mkv", width=128, height=128, frames=black)
    assert failures(source, bordered) == set()
    cut = make_clip(tmp_path / "cut.mkv", width=64, height=64)
    assert failures(source, cut) == {"shape"}
    assert failures(source, cut, fit=Fit.CROP) == set()


def test_hdr_must_keep_what_it_says_of_the_display(tmp_path):
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    hdr = {"pix_fmt": "yuv420p10le", "codec": "libx265", "tags": tags}
    plain = {"x265-params": "log-level=error:bframes=0"}
    source = make_clip(tmp_path / "in.mkv", options={"x265-params": HDR10}, **hdr)
    kept = make_clip(tmp_path / "kept.mkv", options={"x265-params": HDR10}, **hdr)
    assert failures(source, kept) == set()
    other = HDR10.replace("10000000", "40000000").replace("1000,400", "1000,300")
    changed = make_clip(tmp_path / "changed.mkv", options={"x265-params": other}, **hdr)
    assert failures(source, changed) == {"mastering display", "light level"}
    lost = make_clip(tmp_path / "lost.mkv", options=plain, **hdr)
    assert failures(source, lost) == {"mastering display", "light level"}


def test_a_grid_must_be_exact(tmp_path):
    source = make_clip(tmp_path / "in.mp4", count=24, rate=Fraction(24_000, 1001))
    times = [round(n * Fraction(90_000, 60)) for n in range(60)]
    grid = {"rate": 60, "time_base": "1/90000"}
    good = make_clip(tmp_path / "good.mp4", times=times, **grid)
    asked = Expectation(width=64, height=48, frames=60, rate=Fraction(60))
    assert failures(source, good, expectation=asked) == failures(source, good) == set()
    late = [at + 150 * (n == 30) for n, at in enumerate(times)]
    bad = make_clip(tmp_path / "bad.mp4", times=late, **grid)
    assert failures(source, bad, expectation=asked) == {"times"}
    assert failures(source, bad) == {"times"}
    short = make_clip(tmp_path / "short.mp4", times=times[:57], **grid)
    assert failures(source, short, expectation=asked) == {"frames", "times", "duration"}


def test_frames_between_leave_the_source_frames_where_they_are(tmp_path):
    base = {"time_base": "1/1000", "codec": "libx264"}
    uneven = [0, 40, 90, 200, 230, 300, 360, 400]
    source = make_clip(tmp_path / "in.mkv", times=uneven, **base)
    between = sorted([*uneven, *(a + 10 for a in uneven)])
    assert failures(source, make_clip(tmp_path / "good.mkv", times=between, **base)) == set()
    between[2] += 3
    assert failures(source, make_clip(tmp_path / "bad.mkv", times=between, **base)) == {"times"}


def test_frames_that_the_source_lacks_are_told_by_number(tmp_path, equipment):
    clip = make_clip(tmp_path / "clip.mkv", count=48, options={"g": "12", "bf": "0"})

    def break_it(_, number, packet):
        return [copy_of(packet, b"\0" * packet.size)] if number == 20 else [packet]

    source = remux(clip, tmp_path / "in.mkv", break_it)
    report = process(source, tmp_path / "out.mkv", Task(mode=Mode.BOTH), equipment=equipment)
    assert report.frames == 94
    checks = {check.name: check for check in verify(source, report.output)}
    assert all(check.passed for check in checks.values())
    assert "47 of 47" in checks["times"].detail
    assert "1 packets of the source give no frame" in checks["times"].detail


def test_converted_streams_must_say_the_same_at_the_same_time(tmp_path):
    marked = [(100, 400, "<i>Fish</i> & chips"), (500, 900, "two\nlines")]
    ticks = {"times": [round(n * 1000 / 24) for n in range(24)], "time_base": "1/1000"}
    source = make_clip(
        tmp_path / "in.mkv", audio=1, audio_codec="flac", subtitles=[marked], **ticks
    )

    def converted(name, lines, **changes):
        made = make_clip(tmp_path / name, audio=1, subtitles=[lines], **ticks, **changes)
        return {check.name: check for check in verify(source, made)}

    said = [(100, 400, "Fish & chips"), (500, 900, "two\nlines")]
    checks = converted("good.mp4", said)
    assert all(check.passed for check in checks.values())
    assert "converted from flac to aac" in checks["audio 0"].detail
    assert "converted from subrip to mov_text, 2 texts say the same" in checks["subtitle 0"].detail
    other = [said[0], (500, 900, "two\nlies")]
    late = [said[0], (510, 900, "two\nlines")]
    for lines in (other, late, said[:1]):
        checks = converted("bad.mp4", lines)
        assert [name for name, each in checks.items() if not each.passed] == ["subtitle 0"]


def test_verification_stops_at_once_when_asked(source, good):
    asked = time.monotonic()
    with pytest.raises(Cancelled):
        verify(source, good, should_stop=lambda: True)
    assert time.monotonic() - asked < 1

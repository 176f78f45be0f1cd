from dataclasses import replace
from fractions import Fraction

import av
import pytest

from remote_runner.errors import InputError, MachineError
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.video import segment
from remote_runner.video.probe import probe
from remote_runner.video.verify import verify
from tests.runner.clips import make_clip, make_mute, payloads, video_times

INTERP = Task(mode=Mode.INTERP, interpolator="flow")
LINES = [(100, 400, "Привет"), (500, 900, "two\nlines")]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_everything_beside_the_video_is_carried_over(tmp_path, equipment, suffix):
    source = make_clip(
        tmp_path / f"in.{suffix}",
        count=48,
        audio=2,
        subtitles=[LINES, LINES[:1]],
        chapters=[(0, 700), (700, 2000)],
        metadata={"title": "A title", "artist": "Somebody"},
        attachment=b"font" * 100 if suffix == "mkv" else None,
    )
    report = process(source, tmp_path / f"out.{suffix}", Task(), equipment=equipment)
    assert report.extension == suffix
    assert report.dropped == ()
    for kind in ("audio", "subtitle"):
        assert payloads(report.output, kind) == payloads(source, kind)
    assert len(report.kept) == (5 if suffix == "mkv" else 4)
    with av.open(str(source)) as old, av.open(str(report.output)) as new:
        assert new.metadata["title"] == "A title"
        assert [each["metadata"]["title"] for each in new.chapters()] == ["part 0", "part 1"]
        assert [each["start"] * each["time_base"] for each in new.chapters()] == [
            each["start"] * each["time_base"] for each in old.chapters()
        ]
        assert [each.disposition for each in new.streams.audio] == [
            each.disposition for each in old.streams.audio
        ]
        assert [each.data for each in new.streams.attachments] == [
            each.data for each in old.streams.attachments
        ]


def test_audio_keeps_its_distance_to_late_video(tmp_path, equipment):
    clip = make_clip(tmp_path / "clip.mkv", audio=1, count=24)
    source = tmp_path / "in.mkv"
    with av.open(str(clip)) as old, av.open(str(source), "w") as new:
        streams = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
        for packet in old.demux():
            if packet.size:
                if packet.stream_index == 0:
                    late = Fraction(4, 100) / packet.time_base
                    packet.pts += int(late)
                    packet.dts = None if packet.dts is None else packet.dts + int(late)
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    report = process(source, tmp_path / "out.mkv", Task(mode=Mode.BOTH), equipment=equipment)
    assert video_times(report.output)[0] == video_times(source)[0]
    assert payloads(report.output, "audio") == payloads(source, "audio")


def test_what_mp4_cannot_hold_moves_the_output_to_matroska(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mov", audio=1, audio_codec="pcm_s16be", count=24)
    report = process(source, tmp_path / "out.mp4", Task(), equipment=equipment)
    kept = payloads(report.output, "audio")
    assert b"".join(data for _, data in kept[0][2]) == b"".join(
        data for _, data in payloads(source, "audio")[0][2]
    )
    with_subrip = make_clip(tmp_path / "sub.mkv", subtitles=[LINES])
    wished = process(
        with_subrip, tmp_path / "out2.mp4", Task(), equipment=equipment, container="mp4"
    )
    assert wished.output == tmp_path / "out2.mkv"
    assert "container_changed:mkv" in wished.notes
    assert payloads(wished.output, "subtitle") == payloads(with_subrip, "subtitle")


def test_timed_text_of_mp4_becomes_subrip_in_matroska(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", count=24, subtitles=[LINES])
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment, container="mkv")
    ((codec, language, packets),) = payloads(report.output, "subtitle")
    assert (codec, language) == ("subrip", "eng")
    assert [(float(at), data.decode()) for at, data in packets] == [
        (0.1, "Привет"),
        (0.5, "two\nlines"),
    ]
    assert "subtitles_converted:subrip" in report.notes
    assert all(check.passed for check in report.checks)


@pytest.mark.parametrize("suffix", ["webm", "avi", "ts"])
def test_other_containers_become_matroska(tmp_path, equipment, suffix):
    kind = {
        "webm": ("libvpx", "libopus", {"crf": "10"}),
        "avi": ("mpeg4", "mp3", {"q": "3"}),
        "ts": ("libx264", "aac", {"crf": "10"}),
    }[suffix]
    source = make_clip(
        tmp_path / f"in.{suffix}",
        codec=kind[0],
        audio=1,
        audio_codec=kind[1],
        options=kind[2],
        count=24,
        time_base="1/24" if suffix == "avi" else None,
    )
    report = process(source, tmp_path / "out.bin", Task(), equipment=equipment)
    assert report.output == tmp_path / "out.mkv"
    assert report.frames == 24
    assert all(check.passed for check in report.checks)
    assert len(report.facts.audio) == 1


def test_cover_art_is_kept_in_both_containers(tmp_path, equipment):
    source = tmp_path / "in.mp4"
    cover = make_clip(
        tmp_path / "cover.mkv", codec="mjpeg", pix_fmt="yuvj420p", options={"q": "3"}, count=1
    )
    clip = make_clip(tmp_path / "clip.mp4")
    with (
        av.open(str(cover)) as pictures,
        av.open(str(clip)) as movie,
        av.open(str(source), "w") as out,
    ):
        targets = [
            out.add_stream_from_template(each.streams.video[0], opaque=True)
            for each in (movie, pictures)
        ]
        targets[1].disposition = 1 << 10
        for container, target in zip((movie, pictures), targets, strict=True):
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    for suffix in ("mp4", "mkv"):
        report = process(
            source, tmp_path / f"out.{suffix}", Task(), equipment=equipment, container=suffix
        )
        assert report.extension == suffix
        assert report.kept == ("cover:mjpeg",)
        with av.open(str(report.output)) as found:
            assert len(found.streams.video) == 2


def test_mp4_has_its_index_in_front(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", audio=1)
    report = process(source, tmp_path / "out.mp4", Task(), equipment=equipment)
    data = report.output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_large_pictures_become_hevc(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", width=2064, height=32, count=2)
    report = process(source, tmp_path / "out.mp4", Task(preset="ultrafast"), equipment=equipment)
    assert (report.facts.codec, report.facts.width) == ("hevc", 4128)


def test_ten_bits_can_be_h264_if_asked_for(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", pix_fmt="yuv420p10le", count=3)
    report = process(source, tmp_path / "out.mp4", Task(codec="h264"), equipment=equipment)
    assert (report.facts.codec, report.facts.pix_fmt) == ("h264", "yuv420p10le")


def test_the_gate_sees_what_is_wrong(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mkv", count=24, audio=1, chapters=[(0, 500)])
    good = process(source, tmp_path / "good.mkv", Task(), equipment=equipment).output
    assert all(check.passed for check in verify(source, good))
    other = make_clip(
        tmp_path / "bad.mkv", count=30, tags={"colorspace": 9, "color_range": 2}, start_s=1
    )
    failed = {check.name for check in verify(source, other) if not check.passed}
    assert failed == {"times", "duration", "colour", "audio", "chapters"}
    noisy = make_clip(tmp_path / "noisy.mkv", count=24, audio=2)
    failed = {check.name for check in verify(source, noisy) if not check.passed}
    assert "audio" in failed


def test_interlaced_h264_of_broadcasts_is_counted_in_frames(tmp_path, equipment):
    source = make_clip(
        tmp_path / "in.ts", count=25, rate=25, options={"crf": "10", "x264-params": "tff=1"}
    )
    report = process(
        source, tmp_path / "out.mkv", replace(Task(), mode=Mode.BOTH), equipment=equipment
    )
    assert probe(source).interlaced
    assert report.frames == 50


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_track_without_sound_fails_no_gate(tmp_path, equipment, suffix):
    source = make_mute(tmp_path / "in.mp4")
    report = process(
        source, tmp_path / f"out.{suffix}", INTERP, equipment=equipment, container=suffix
    )
    assert report.output.suffix == f".{suffix}"
    assert report.facts.audio == ()


def test_sound_that_no_muxer_takes_is_the_files_fault(tmp_path, equipment):
    source = make_clip(
        tmp_path / "in.ts", codec="mpeg2video", options={}, rate=25, count=25, audio=1,
        audio_codec="mp2",
    )  # fmt: skip
    data = source.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    starts = [n for n, each in enumerate(packets) if each[1] == 0x41 and each[2] == 1]
    first, last = starts[0], starts[-1]  # of the sound, whose times go back now
    packets[first], packets[last] = packets[last], packets[first]
    source.write_bytes(b"".join(packets))
    with pytest.raises(InputError) as error:
        process(source, tmp_path / "out.mp4", INTERP, equipment=equipment)
    assert error.value.reason is Reason.CORRUPT
    assert [path.name for path in tmp_path.iterdir()] == ["in.ts"]


def test_sound_that_an_output_cannot_be_closed_with_is_the_files_fault(tmp_path, equipment):
    """Its form is told by a header that is not there, and asked for when all is written."""
    source = make_clip(tmp_path / "in.mkv", audio=1, audio_codec="flac")
    data = bytearray(source.read_bytes())
    private = data.rindex(b"\x63\xa2", 0, data.index(b"fLaC"))
    data[private + 1] ^= 1
    source.write_bytes(data)
    with pytest.raises(InputError) as error:
        process(source, tmp_path / "out.mp4", INTERP, equipment=equipment, container="mp4")
    assert error.value.reason is Reason.CORRUPT


def test_times_that_no_output_can_have_are_the_files_fault(tmp_path, equipment):
    times = [*range(0, 200, 40), 2_400_000_000]
    source = make_clip(tmp_path / "in.mkv", count=6, times=times, time_base="1/1000")
    with pytest.raises(InputError) as error:
        process(
            source, tmp_path / "out.mp4", Task(mode=Mode.UPSCALE), equipment=equipment,
            container="mp4",
        )  # fmt: skip
    assert error.value.reason is Reason.CORRUPT


def test_packets_out_of_order_are_not_the_files_fault(tmp_path, equipment, monkeypatch):
    """Another machine may have an encoder that keeps to what it tells."""
    source = make_clip(tmp_path / "in.mp4", count=24)
    monkeypatch.setattr(segment, "reorder_depth", lambda times: 0)
    with pytest.raises(MachineError) as error:
        process(source, tmp_path / "out.mp4", INTERP, equipment=equipment)
    assert error.value.reason is Reason.ENCODER_FAILED
    assert "out of order" in error.value.detail


def test_recordings_one_behind_the_other_become_one(tmp_path, equipment):
    one = make_clip(tmp_path / "one.ts", rate=25, count=12)
    source = tmp_path / "two.ts"
    source.write_bytes(one.read_bytes() * 2)
    report = process(source, tmp_path / "out.mp4", INTERP, equipment=equipment)
    assert report.facts.frames == 48
    assert all(check.passed for check in verify(source, report.output))
    assert report.facts.duration_s == pytest.approx(probe(source).duration_s, abs=0.041)

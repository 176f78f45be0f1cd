from fractions import Fraction

import av
import numpy as np
import pytest

from remote_runner.pipeline import process
from remote_runner.protocol import Task
from remote_runner.video.texts import read_text, write_text
from tests.runner.clips import make_clip, payloads

LINES = [(100, 400, "<i>Fish</i> & chips"), (500, 900, "two\nlines")]
QUICK = {"preset": "ultrafast"}


def texts(path):
    return [
        (codec, [(float(at), data.decode()) for at, data in packets])
        for codec, _, packets in payloads(path, "subtitle")
    ]


def run(source, equipment, **wishes):
    report = process(
        source, source.parent / "out.bin", Task(**QUICK, **wishes), equipment=equipment
    )
    assert all(check.passed for check in report.checks)
    assert report.output.suffix == f".{report.extension}"
    return report


@pytest.fixture
def rich(tmp_path):
    """Two tracks of FLAC and of SubRip, a font, a chapter."""
    return make_clip(
        tmp_path / "in.mkv",
        count=24,
        audio=2,
        audio_codec="flac",
        subtitles=[LINES, LINES[:1]],
        attachment=b"font" * 10,
        chapters=[(0, 500)],
    )


def test_an_outright_mp4_gets_text_that_it_can_hold_and_the_font_is_listed(rich, equipment):
    report = run(rich, equipment, container="mp4")
    assert report.extension == "mp4"
    assert "subtitles_converted:mov_text" in report.notes
    assert report.dropped == ("attachment:font.ttf",)
    (codec, lines), _ = texts(report.output)
    assert codec == "mov_text"
    assert [(at, text[2:]) for at, text in lines] == [(0.1, "Fish & chips"), (0.5, "two\nlines")]
    assert [each[1] for each in payloads(report.output, "audio")] == ["eng", "rus"]
    with av.open(str(report.output)) as found:
        # without a sample entry of its own (3GPP TS 26.245 5.16) players show nothing
        assert len(found.streams.subtitles[0].codec_context.extradata) >= 30


def test_an_outright_mov_gets_aac_for_what_quicktime_does_not_know(rich, equipment):
    report = run(rich, equipment, container="mov")
    assert {"audio_converted:aac", "subtitles_converted:mov_text"} <= set(report.notes)
    assert report.facts.audio == ("aac/eng", "aac/rus")
    with av.open(str(report.output)) as found:
        assert found.metadata["major_brand"].strip() == "qt"


def test_an_outright_webm_is_av1_with_opus_and_webvtt(rich, equipment):
    report = run(rich, equipment, container="webm")
    assert (report.extension, report.facts.codec) == ("webm", "av1")
    assert report.facts.audio == ("opus/eng", "opus/rus")
    assert {"audio_converted:opus", "subtitles_converted:webvtt"} <= set(report.notes)
    assert report.dropped == ("attachment:font.ttf",)
    assert texts(report.output)[0] == (
        "webvtt",
        [(0.1, "<i>Fish</i> &amp; chips"), (0.5, "two\nlines")],
    )


def test_an_outright_mkv_of_an_mp4_copies_all_but_the_text(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", count=24, audio=1, subtitles=[LINES])
    report = run(source, equipment, container="mkv")
    assert report.facts.audio == ("aac/eng",)
    assert "subtitles_converted:subrip" in report.notes
    assert report.dropped == ()


def test_quicktime_stays_quicktime_where_mp4_would_lose_its_sound(tmp_path, equipment):
    plain = make_clip(tmp_path / "plain.mov", count=12, audio=1)
    assert run(plain, equipment).extension == "mp4"
    pcm = make_clip(tmp_path / "pcm.mov", count=12, audio=1, audio_codec="pcm_s16le")
    report = run(pcm, equipment)
    assert report.extension == "mov"
    assert report.facts.audio == ("pcm_s16le/eng",)
    assert not [note for note in report.notes if note.startswith("container_changed")]
    asked = run(pcm, equipment, container="mp4")
    assert (asked.extension, asked.facts.audio) == ("mp4", ("aac/eng",))


def test_webm_stays_webm_if_its_codec_is_asked_for_and_its_text_goes_along(tmp_path, equipment):
    source = make_clip(
        tmp_path / "in.webm",
        codec="libvpx",
        audio=1,
        audio_codec="libopus",
        subtitles=[LINES],
        options={"deadline": "realtime"},
        count=24,
    )
    report = run(source, equipment, codec="av1")
    assert (report.extension, report.dropped) == ("webm", ())
    assert payloads(report.output, "audio") == payloads(source, "audio")
    assert payloads(report.output, "subtitle") == payloads(source, "subtitle")
    report = run(source, equipment)
    assert (report.extension, report.dropped) == ("mkv", ())
    assert payloads(report.output, "subtitle") == payloads(source, "subtitle")


def test_pictures_of_text_go_where_they_can_and_are_listed_where_not(tmp_path, equipment):
    clip = make_clip(tmp_path / "clip.mkv", count=12)
    source = tmp_path / "in.mkv"
    with av.open(str(clip)) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        new.add_mux_stream("hdmv_pgs_subtitle", time_base=Fraction(1, 1000))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
    assert run(source, equipment).dropped == ()
    assert run(source, equipment, container="mp4").dropped == ("subtitle:hdmv_pgs_subtitle",)


def onset(path):
    """When sound begins against the first frame, seconds."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            level = 3000 if "s16" in frame.format.name else 0.1
            if "p" not in frame.format.name:
                loud = loud[:: frame.layout.nb_channels]
            found = np.flatnonzero(loud[: frame.samples] > level)
            if len(found):
                return frame.time + found[0] / frame.sample_rate - first
    raise AssertionError("there is no sound")


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "pcm_s16le"), ("mov", "flac"), ("webm", "pcm_s16le")]
)
def test_converted_sound_keeps_its_place(tmp_path, equipment, container, codec):
    source = make_clip(tmp_path / "in.mkv", count=30)
    joined = tmp_path / "beep.mkv"
    wave = np.zeros(48_000, np.int16)
    wave[24_000:28_800] = (np.sin(np.arange(4800) * 0.3) * 20_000).astype(np.int16)
    with av.open(str(source)) as old, av.open(str(joined), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        sound = new.add_stream(codec, rate=48_000, layout="mono")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        new.mux(sound.encode(frame))
        new.mux(sound.encode(None))
    report = run(joined, equipment, container=container)
    assert report.notes[0].startswith("audio_converted:")
    assert onset(report.output) == pytest.approx(onset(joined), abs=0.001)


def test_texts_are_said_in_every_format():
    ass = b"1,0,Default,,0,0,0,,{\\i1}Hello{\\i0},\\Nworld"
    assert read_text("ass", ass) == "Hello,\nworld"
    assert read_text("subrip", b'<font color="red">a <b>b</b></font>') == "a <b>b</b>"
    assert read_text("webvtt", b"<v Bob>1 &lt; 2 <00:01.000><u>x</u>") == "1 < 2 <u>x</u>"
    assert read_text("mov_text", b"\0\x02hi\0\0\0\x08styl") == "hi"
    assert write_text("mov_text", "a <b>b</b>") == b"\0\x03a b"
    assert write_text("webvtt", "<i>1 < 2</i>\n\n& 3") == b"<i>1 &lt; 2</i>\n&amp; 3"
    assert write_text("subrip", "<i>x</i>") == b"<i>x</i>"

import json
import os
import struct
import subprocess
import sys
import time

import av
import pytest

from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Facts, Reason, from_json
from remote_runner.video.envelope import missing_part, tracks_of
from remote_runner.video.probe import MOST_FRAMES, MOST_SAMPLES, Limits, probe
from remote_runner.video.source import open_source
from tests.runner.clips import make_clip, make_mute


def refusal(path, limits=None):
    with pytest.raises(InputError) as error:
        probe(path, limits)
    return error.value.reason


def run_probe(path, *options):
    done = subprocess.run(
        [sys.executable, "-m", "remote_runner", "probe", str(path), "--json", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_facts_come_from_the_content(tmp_path):
    source = make_clip(
        tmp_path / "in.mp4",
        count=24,
        audio=2,
        subtitles=[[(0, 400, "Hello"), (500, 900, "world")]],
        chapters=[(0, 500), (500, 1000)],
        tags={"colorspace": 1, "color_range": 1, "color_trc": 1, "color_primaries": 1},
    )
    facts = probe(source)
    assert (facts.width, facts.height, facts.frames, facts.fps) == (64, 48, 24, "24")
    assert facts.duration_s == pytest.approx(1.0)
    assert facts.audio == ("aac/eng", "aac/rus")
    assert facts.subtitles == ("mov_text/eng",)
    assert facts.chapters == 2
    assert (facts.codec, facts.pix_fmt, facts.bit_depth) == ("h264", "yuv420p", 8)
    assert (facts.matrix, facts.range, facts.transfer) == ("bt709", "limited", "bt709")
    assert facts.notes == ()
    assert facts.bytes == source.stat().st_size


def test_untagged_video_is_assumed_by_its_size_and_said_so(tmp_path):
    small = probe(make_clip(tmp_path / "small.mp4"))
    large = probe(make_clip(tmp_path / "large.mp4", width=1280, height=64, count=2))
    assert (small.matrix, small.notes) == ("bt601", ("matrix_assumed:bt601",))
    assert (large.matrix, large.notes) == ("bt709", ("matrix_assumed:bt709",))


def test_an_empty_file_is_told(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    assert refusal(path) is Reason.EMPTY_FILE


@pytest.mark.parametrize(
    "data",
    [
        b"It was a dark and stormy night.\n" * 40,
        b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        os.urandom(5000),
    ],
    ids=["text", "subtitles", "playlist", "concat", "picture", "noise"],
)
def test_what_is_no_video_is_told(tmp_path, data):
    path = tmp_path / "in.mp4"
    path.write_bytes(data)
    assert refusal(path) is Reason.NOT_A_VIDEO


def test_a_song_with_cover_art_has_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    cover = make_clip(
        tmp_path / "cover.mkv", codec="mjpeg", pix_fmt="yuvj420p", options={"q": "3"}, count=1
    )
    clip = make_clip(tmp_path / "sound.mp4", audio=1)
    with (
        av.open(str(cover)) as pictures,
        av.open(str(clip)) as sound,
        av.open(str(path), "w", format="mp4") as out,
    ):
        art = out.add_stream_from_template(pictures.streams.video[0], opaque=True)
        art.disposition = 1 << 10
        track = out.add_stream_from_template(sound.streams.audio[0], opaque=True)
        for container, target, kind in ((pictures, art, "video"), (sound, track, "audio")):
            for packet in container.demux(**{kind: 0}):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    assert refusal(path) is Reason.NO_VIDEO_STREAM


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_told(tmp_path, suffix, share):
    codec = "mpeg4" if suffix == "avi" else "libx264"
    options = {"q": "5"} if suffix == "avi" else {"crf": "15"}
    whole = make_clip(tmp_path / f"whole.{suffix}", count=96, codec=codec, options=options)
    data = whole.read_bytes()
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    assert refusal(path) is Reason.TRUNCATED


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_with_its_index_in_front_is_told(tmp_path, share):
    whole = make_clip(
        tmp_path / "whole.mp4", count=96, container_options={"movflags": "+faststart"}
    )
    data = whole.read_bytes()
    path = tmp_path / "in.mp4"
    path.write_bytes(data[: int(len(data) * share)])
    assert missing_part(path)
    assert refusal(path) is Reason.TRUNCATED


def test_sizes_out_of_bounds_are_told(tmp_path):
    tiny = make_clip(
        tmp_path / "tiny.mkv", width=1, height=1, codec="ffv1", options={"level": "3"}, count=2
    )
    assert refusal(tiny) is Reason.PICTURE_TOO_SMALL
    clip = make_clip(tmp_path / "in.mp4")
    assert refusal(clip, Limits(max_pixels=1000)) is Reason.PICTURE_TOO_LARGE
    assert refusal(clip, Limits(max_bytes=1000)) is Reason.FILE_TOO_LARGE
    assert refusal(clip, Limits(max_seconds=0.2)) is Reason.VIDEO_TOO_LONG


def test_an_absurd_declared_size_is_refused_without_allocating(tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    data = bytearray(clip.read_bytes())
    entry = data.index(b"avc1", data.index(b"stsd"))
    struct.pack_into(">HH", data, entry + 28, 65500, 65500)
    path = tmp_path / "absurd.mp4"
    path.write_bytes(data)
    started = time.monotonic()
    code, answer, _ = run_probe(path)
    assert code in (0, 1)
    assert time.monotonic() - started < 10
    if code:
        assert answer["error"]["reason"] in ("picture_too_large", "corrupt")
    raw = tmp_path / "huge.y4m"
    raw.write_bytes(b"YUV4MPEG2 W60000 H60000 F24:1 C420jpeg\nFRAME\n" + bytes(100_000))
    code, answer, _ = run_probe(raw)
    assert (code, answer["error"]["reason"]) == (1, "corrupt")


def test_damage_in_the_middle_is_survived_or_told(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", count=48)
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 8
    data[start : start + 3000] = os.urandom(3000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    try:
        assert probe(path).frames == 48
    except InputError as error:
        assert error.reason is Reason.CORRUPT


def test_the_command_prints_facts_or_a_typed_error(tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    code, answer, _ = run_probe(clip)
    assert code == 0
    assert from_json(Facts, json.dumps(answer["facts"])) == probe(clip)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    code, answer, errors = run_probe(empty)
    assert (code, answer["error"]["reason"], errors) == (1, "empty_file", "")
    code, answer, _ = run_probe(clip, "--max-bytes", "10")
    assert (code, answer["error"]["reason"]) == (1, "file_too_large")


def test_the_command_cannot_write_files_and_stops_in_time(tmp_path):
    script = (
        "import sys, time\n"
        "from remote_runner.limits import restrain\n"
        "restrain(cpu_s=60, wall_s=0.5, memory=1 << 30)\n"
        "try: open(sys.argv[1], 'w').write('x' * 100000)\n"
        "except OSError as error: print('refused', flush=True)\n"
        "try: bytearray(2 << 30)\n"
        "except MemoryError: print('bounded', flush=True)\n"
        "time.sleep(30)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    lines = done.stdout.split("\n")
    assert lines[:2] == ["refused", "bounded"]
    assert json.loads(lines[2])["error"]["reason"] == "probe_limit"
    assert done.returncode == 1


def test_names_that_look_like_protocols_are_just_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = make_clip(tmp_path / "in.mp4")
    odd = tmp_path / "concat:a|b.mp4"
    odd.write_bytes(clip.read_bytes())
    assert probe(odd).frames == 12


def test_sound_that_nothing_here_can_decode_is_listed_as_unknown(tmp_path):
    source = make_clip(tmp_path / "in.mkv", audio=1)
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    assert probe(source).audio == ("unknown/eng",)


def test_a_demuxer_that_says_not_permitted_means_the_file(tmp_path):
    source = make_clip(tmp_path / "in.wmv", codec="wmv2", options={}, count=8)
    source.write_bytes(source.read_bytes()[:316])
    assert refusal(source) is Reason.NOT_A_VIDEO
    source.unlink()
    with pytest.raises(MachineError):
        open_source(source)


def test_a_track_without_sound_is_no_audio(tmp_path):
    assert probe(make_mute(tmp_path / "in.mp4")).audio == ()


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_recordings_one_behind_the_other_are_as_long_as_all_of_them(tmp_path, suffix):
    codec = {"ts": "libx264", "mpg": "mpeg1video"}[suffix]
    one = make_clip(tmp_path / f"one.{suffix}", codec=codec, options={}, rate=25, count=25)
    three = tmp_path / f"three.{suffix}"
    three.write_bytes(one.read_bytes() * 3)
    facts = probe(three)
    assert (facts.frames, facts.fps, facts.vfr) == (75, "25", False)
    assert facts.duration_s == pytest.approx(3 * probe(one).duration_s)


def test_a_header_that_is_larger_than_the_file_is_no_failure_of_ours(tmp_path):
    source = tmp_path / "in.mkv"
    source.write_bytes(b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" + bytes(28))
    assert refusal(source) is Reason.NOT_A_VIDEO


def test_long_plain_sound_is_no_bomb(tmp_path):
    """A sample for each of its values: an hour of it is more than any film has frames."""
    source = make_clip(tmp_path / "in.mov", audio=1, audio_codec="pcm_s16le")
    film, sound = tracks_of(source)
    assert (film.kind, film.samples, film.edits, film.is_plain) == (b"vide", 12, 1, False)
    assert (sound.kind, sound.is_plain) == (b"soun", True)
    data = bytearray(source.read_bytes())
    struct.pack_into(">I", data, data.rindex(b"stsz") + 12, MOST_FRAMES * 9)
    source.write_bytes(data)
    assert tracks_of(source)[1].samples == MOST_FRAMES * 9
    assert probe(source).frames == 12


def test_sound_in_two_runs_of_one_length_is_read(tmp_path):
    """As older editors write it, and appended recordings. FFmpeg indexes each value of these."""
    source = sound_in_two_runs(tmp_path / "in.mov")
    assert [track.is_plain for track in tracks_of(source)] == [False, False]
    found = probe(source)
    assert (found.frames, found.audio) == (12, ("pcm_s16le/eng",))


def test_too_many_values_of_sound_are_no_video_that_is_too_long(tmp_path):
    source = sound_in_two_runs(tmp_path / "in.mov")
    data = bytearray(source.read_bytes())
    struct.pack_into(">I", data, data.rindex(b"stsz") + 12, MOST_SAMPLES + 1)
    source.write_bytes(data)
    with pytest.raises(InputError) as error:
        probe(source)
    assert error.value.reason is Reason.UNSUPPORTED
    assert error.value.detail == f"{MOST_SAMPLES + 1} samples of sound, as declared"


def test_a_track_that_tells_late_what_it_is_is_known_all_the_same(tmp_path):
    source = make_clip(tmp_path / "in.mov", audio=1, audio_codec="pcm_s16le")
    data = bytearray(source.read_bytes())
    at = data.rindex(b"mdia") + 4
    end = at - 8 + int.from_bytes(data[at - 8 : at - 4])
    boxes = []
    while at < end:
        length = int.from_bytes(data[at : at + 4])
        boxes.append(bytes(data[at : at + length]))
        at += length
    kinds = [each[4:8] for each in boxes]
    assert kinds == [b"mdhd", b"hdlr", b"minf"]
    data[end - sum(map(len, boxes)) : end] = boxes[0] + boxes[2] + boxes[1]
    source.write_bytes(data)
    assert tracks_of(source)[1].is_plain


def sound_in_two_runs(path):
    """The table of the times of its sound has two entries, a tick for each value as before."""
    data = bytearray(make_clip(path, audio=1, audio_codec="pcm_s16le").read_bytes())
    table = data.rindex(b"stts")
    (count,) = struct.unpack_from(">I", data, table + 12)
    data[table + 8 : table + 20] = struct.pack(">5I", 2, 9, 1, count - 9, 1)
    for name in (b"stts", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(name) - 4
        struct.pack_into(">I", data, at, int.from_bytes(data[at : at + 4]) + 8)
    path.write_bytes(data)
    return path

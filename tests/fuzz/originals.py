"""Good files, one of every kind that people send, and files that are no videos at all."""

import io
import random
import tarfile
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.runner.clips import make_clip

_FAST = {"preset": "ultrafast", "g": "4"}
_TEXTS = [[(0, 100, "first"), (150, 300, "second")]]

#: What :func:`tests.runner.clips.make_clip` is asked for, by the name of the file.
CLIPS = {
    "plain.mp4": {"options": _FAST, "audio": 1},
    "texts.mp4": {"options": _FAST, "subtitles": _TEXTS, "chapters": ((0, 150), (150, 300))},
    "fragments.mp4": {
        "options": _FAST, "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "hevc.mp4": {
        "codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"},
    },
    "turned.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {}, "rotation": 90},
    "ten_bits.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "options": {},
                     "count": 3},
    "all.mkv": {
        "options": _FAST, "audio": 1, "audio_codec": "flac", "subtitles": _TEXTS,
        "chapters": ((0, 150), (150, 300)), "attachment": b"no font" * 20,
    },
    "lossless.mkv": {"codec": "ffv1", "options": {}},
    "uneven.mkv": {
        "options": _FAST, "times": [0, 30, 90, 130, 200, 210, 300, 333], "time_base": "1/1000",
    },
    "vp9.webm": {
        "codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"},
        "audio": 1, "audio_codec": "libopus",
    },
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "old.avi": {"codec": "mpeg4", "options": {}, "audio": 1, "audio_codec": "mp2"},
    "raw.avi": {"codec": "rawvideo", "pix_fmt": "bgr24", "options": {}, "count": 3},
    "broadcast.ts": {
        "codec": "mpeg2video", "options": {}, "rate": 25, "audio": 1, "audio_codec": "mp2",
    },
    "plain.ts": {"options": _FAST},
    "moving.gif": {"codec": "gif", "pix_fmt": "rgb8", "options": {}, "rate": 25},
    "moving.apng": {"codec": "apng", "pix_fmt": "rgb24", "options": {}, "count": 4},
    "web.flv": {"codec": "flv", "options": {}},
    "windows.wmv": {"codec": "wmv2", "options": {}},
    "disc.mpg": {"codec": "mpeg1video", "options": {}, "rate": 25},
    "phone.3gp": {"codec": "h263", "options": {}, "width": 128, "height": 96},
    "plain.nut": {"codec": "huffyuv", "pix_fmt": "rgb24", "options": {}, "count": 3},
    "studio.mxf": {"codec": "mpeg2video", "options": {}, "rate": 25},
    "frames.y4m": {"codec": "rawvideo", "options": {}, "count": 3},
}  # fmt: skip
#: Where a clip does not say its own number.
ORIGINAL_FRAMES = 8


def make_originals(folder: Path) -> dict[str, bytes]:
    """The content of every clip by its name."""
    found = {}
    for name, wanted in CLIPS.items():
        path = make_clip(folder / name, **{"count": ORIGINAL_FRAMES, **wanted})
        found[name] = path.read_bytes()
        path.unlink()
    return found


def make_stranger(rng: random.Random) -> tuple[str, bytes]:
    """A file that is no video, under the name of one now and then."""
    kinds = {
        "nothing": b"", "byte": rng.randbytes(1), "zeros": b"\x00" * rng.choice((16, 70_000)),
        "noise": rng.randbytes(rng.choice((8, 900, 70_000))),
        "text.txt": "Не видео. ".encode() * 300, "page.html": b"<!DOCTYPE html><video src=x>",
        "playlist.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n",
        "list.ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\nfile http://127.0.0.1:1/x\n",
        "subtitle.srt": b"1\n00:00:00,000 --> 00:00:01,000\nno picture\n",
        "session.sdp": b"v=0\nc=IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\n",
        "picture.png": _picture("png"), "picture.jpg": _picture("mjpeg"),
        "archive.zip": _zip(), "archive.tar": _tar(), "sound.wav": _sound(),
        "program": b"\x7fELF" + rng.randbytes(4000),
        "paper.pdf": b"%PDF-1.7\n" + rng.randbytes(900),
        "base.db": b"SQLite format 3\x00" + bytes(4000), "header.mp4": b"\x00\x00\x00\x18ftypmp42",
        "header.mkv": b"\x1aE\xdf\xa3\x9f", "header.avi": b"RIFF\xff\xff\xff\xffAVI LIST",
    }  # fmt: skip
    name = rng.choice(sorted(kinds))
    return rng.choice((name, f"{name}.mp4")), kinds[name]


def _picture(codec: str) -> bytes:
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = 64, 48
    context.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
    packets = context.encode(frame.reformat(format=context.pix_fmt)) + context.encode(None)
    return b"".join(bytes(each) for each in packets)


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("clip.mp4", b"\x00" * 1000)
    return data.getvalue()


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("clip.mp4"))
    return data.getvalue()


def _sound() -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="wav") as out:
        track = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "stereo")
        frame.sample_rate = 8000
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return data.getvalue()

"""Makers of videos that are difficult in one way each: a folder → the path of a file."""

from __future__ import annotations

import random
from fractions import Fraction

import av
import numpy as np

from tests.runner.clips import make_clip, moving_texture

FFV1 = {"codec": "ffv1", "options": {"level": "3"}}
LINES = [(0, 200, "Hello"), (250, 480, "Привет")]


def clip(suffix, **how):
    """A maker of a plain clip; short, unless ``how`` says otherwise."""

    def make(folder):
        return make_clip(folder / f"in.{suffix}", **{"count": 10, **how})

    return make


def woven(*, top_first=True, still_parts=False, **how):
    """Every frame made of two fields."""

    def make(folder):
        count = how.get("count", 24)
        moments = moving_texture(2 * count, 96, 80, step=2)
        frames = []
        for i in range(count):
            first, second = moments[2 * i : 2 * i + 2]
            if still_parts and i < count // 2:
                frames.append(first)
                continue
            top, bottom = (first, second) if top_first else (second, first)
            frame = top.copy()
            frame[1::2] = bottom[1::2]
            frames.append(frame)
        settings = {"options": {"crf": "5"}, **how, "count": count}
        return make_clip(folder / "in.mkv", width=96, height=80, frames=frames, **settings)

    return make


def telecined(folder):
    """Film at 24 frames a second, spread over 30 by its fields."""
    film = moving_texture(48, 96, 80, step=2)
    frames = []
    for i in range(0, 48, 4):
        a, b, c, d = film[i : i + 4]
        mixed = [b.copy(), c.copy()]
        mixed[0][1::2], mixed[1][1::2] = c[1::2], d[1::2]
        frames += [a, b, *mixed, d]
    return make_clip(
        folder / "in.mkv",
        width=96,
        height=80,
        frames=frames,
        count=60,
        rate="30000/1001",
        options={"crf": "5", "x264-params": "tff=1"},
    )


def remuxed(suffix, change, *, options=None, **how):
    """A clip whose packets are changed by ``change(packet, number)`` while they are copied: bytes
    take their place, False leaves them out."""

    def make(folder):
        first = make_clip(folder / "clip.mkv", **{"count": 24, **how})
        path = folder / f"in.{suffix}"
        with (
            av.open(str(first)) as old,
            av.open(str(path), "w", options=options or {}) as new,
        ):
            targets = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
            for number, packet in enumerate(old.demux()):
                changed = change(packet, number) if packet.size else False
                if changed is not False:
                    made = _replaced(packet, changed) if isinstance(changed, bytes) else packet
                    made.stream = targets[packet.stream_index]
                    new.mux(made)
        first.unlink()
        return path

    return make


def _replaced(packet, data):
    made = av.Packet(data)
    made.time_base, made.duration = packet.time_base, packet.duration
    made.pts, made.dts = packet.pts, packet.dts
    return made


def shift(seconds, *, stream=None):
    """Moves packets in time: of one stream, or of all."""

    def change(packet, _):
        if stream is None or packet.stream_index == stream:
            ticks = int(seconds / packet.time_base)
            packet.pts += ticks
            packet.dts = packet.dts + ticks if packet.dts is not None else None

    return change


def leap(seconds, after):
    """Packets from the n-th on come that much later."""

    def change(packet, number):
        if number >= after:
            shift(seconds)(packet, number)

    return change


def cut_off(share, make):
    """The first part of a file."""

    def made(folder):
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return made


def damaged(make, *, places, size=40, seed=3):
    """Noise in some places of the content, the first quarter and the last tenth left out."""

    def made(folder):
        path = make(folder)
        data = bytearray(path.read_bytes())
        begin, end = 0, len(data)
        if path.suffix == ".mp4":
            begin = data.index(b"mdat") + 4
            end = begin + int.from_bytes(data[begin - 8 : begin - 4], "big")
        rng = random.Random(seed)
        for _ in range(places):
            start = begin + int((end - begin) * rng.uniform(0.25, 0.9))
            data[start : start + size] = rng.randbytes(size)
        path.write_bytes(data)
        return path

    return made


def chained(suffix, *makes):
    """Several files, one behind the other."""

    def made(folder):
        parts = []
        for number, make in enumerate(makes):
            place = folder / str(number)
            place.mkdir()
            parts.append(make(place).read_bytes())
        path = folder / f"in.{suffix}"
        path.write_bytes(b"".join(parts))
        return path

    return made


def amid_a_group(folder):
    """A capture that begins in the middle of a group of pictures."""
    path = make_clip(folder / "in.ts", count=72, audio=1, options={"g": "24", "crf": "10"})
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 188 // 6 * 188 :])
    return path


def with_cover(folder):
    """A picture beside the video that is none of it."""
    return _two_videos(folder, "mp4", attached=True)


def with_two_videos(folder):
    """Another angle."""
    return _two_videos(folder, "mkv", attached=False)


def _two_videos(folder, suffix, *, attached):
    cover = make_clip(
        folder / "cover.mkv", codec="mjpeg", pix_fmt="yuvj420p", options={"q": "3"}, count=1
    )
    movie = make_clip(folder / f"movie.{suffix}", count=10)
    path = folder / f"in.{suffix}"
    with av.open(str(cover)) as a, av.open(str(movie)) as b, av.open(str(path), "w") as out:
        targets = [
            out.add_stream_from_template(each.streams.video[0], opaque=True) for each in (b, a)
        ]
        if attached:
            targets[1].disposition = 1 << 10
        for container, target in ((b, targets[0]), (a, targets[1])):
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    return path


def mirrored(folder):
    """A display matrix that mirrors, as front cameras write it: the first entry negated."""
    path = make_clip(folder / "in.mp4", count=10, rotation=0)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12 8.3.2, version 0
    assert data[matrix : matrix + 4] == (1 << 16).to_bytes(4, "big")
    data[matrix : matrix + 4] = (-(1 << 16)).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def transposed(folder):
    """Turned by a quarter and mirrored."""
    path = make_clip(folder / "in.mp4", count=10, rotation=90)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd")
    minus, plus = ((sign << 16).to_bytes(4, "big", signed=True) for sign in (-1, 1))
    place = data.index(minus, start)
    data[place : place + 4] = plus
    path.write_bytes(data)
    return path


def palette(folder):
    """A GIF: few colours, times in hundredths of a second."""
    path = folder / "in.gif"
    with av.open(str(path), "w") as out:
        video = out.add_stream("gif", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "rgb8"
        for i, image in enumerate(moving_texture(8, 64, 48)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="rgb8")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def song(folder):
    """Sound alone."""
    path = folder / "in.m4a"
    with av.open(str(path), "w") as out:
        track = out.add_stream("aac", rate=48_000)
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, k * 1024, Fraction(1, 48_000)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def content(data, suffix="mp4"):
    """Bytes that are no video."""

    def make(folder):
        path = folder / f"in.{suffix}"
        path.write_bytes(data)
        return path

    return make

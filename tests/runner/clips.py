"""Small video files for the tests, made with PyAV, and what is read back from such files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.packet import Packet


class Blend:
    """The plainest interpolator there is."""

    name = "blend"
    macs_per_pixel = 20_000

    def between(self, first, second):
        assert first.min() >= 0 and first.max() <= 1
        return lambda t: torch.lerp(first, second, t)


def moving_texture(count, width, height, *, seed=0, step=1):
    """RGB frames of a coloured texture that moves to the upper left."""
    rng = np.random.default_rng(seed)
    extra = count * step // 4 + 2
    size = height // 4 + extra, width // 4 + extra, 3
    cells = rng.integers(40, 215, size, dtype=np.uint8)
    big = cells.repeat(4, 0).repeat(4, 1)
    return [
        np.ascontiguousarray(big[i * step : i * step + height, i * step : i * step + width])
        for i in range(count)
    ]


def make_clip(
    path: Path,
    *,
    width=64,
    height=48,
    count=12,
    rate=24,
    pix_fmt="yuv420p",
    codec="libx264",
    options=None,
    frames=None,
    planes=None,
    times=None,
    time_base=None,
    audio=0,
    audio_codec="aac",
    subtitles=(),
    chapters=(),
    rotation=None,
    sar=None,
    tags=None,
    metadata=None,
    container_options=None,
    start_s=0,
    attachment=None,
):
    """Write a clip of RGB ``frames``, or of frames that ``planes(i, frame)`` fills."""
    rate = Fraction(rate)
    base = Fraction(time_base) if time_base else 1 / rate
    times = times or [round(Fraction(i) / rate / base + start_s / base) for i in range(count)]
    with av.open(str(path), "w", options=container_options or {}) as out:
        video = out.add_stream(codec, rate=rate, time_base=base, options=options or {"crf": "10"})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        context = video.codec_context
        if codec.startswith("libvpx"):
            context.thread_count = 1  # its threads spin as they wait
        for name, value in (tags or {}).items():
            setattr(context, name, value)
        if sar:
            context.sample_aspect_ratio = Fraction(sar)
        if rotation is not None:
            video.set_display_rotation(rotation)
        tracks = [_add_audio(out, audio_codec, n) for n in range(audio)]
        texts = [_add_text(out, path, n) for n in range(len(subtitles))]
        if attachment:
            out.add_attachment("font.ttf", "font/ttf", attachment)
        if metadata:
            out.metadata.update(metadata)
        if chapters:
            out.set_chapters(
                [
                    {
                        "id": n,
                        "start": start,
                        "end": end,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": f"part {n}"},
                    }
                    for n, (start, end) in enumerate(chapters)
                ]
            )
        images = None if planes else (frames or moving_texture(len(times), width, height))
        for i, at in enumerate(times):
            if planes:
                frame = av.VideoFrame(width, height, pix_fmt)
                planes(i, frame)
            else:
                frame = av.VideoFrame.from_ndarray(images[i], "rgb24").reformat(format=pix_fmt)
                frame.color_range = (tags or {}).get("color_range", 0)
            frame.pts, frame.time_base, frame.pict_type = at, base, 0
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        seconds = float((times[-1] + 1) * base) - start_s
        for n, track in enumerate(tracks):
            _beep(out, track, seconds, 300 + 200 * n, start_s)
        for stream, lines in zip(texts, subtitles, strict=True):
            _write_text(out, stream, path, lines)
    return path


def make_mute(path: Path) -> Path:
    """A clip with an audio track that holds nothing, as recorders without a microphone leave."""
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as out:
        video = out.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        _add_audio(out, "aac", 0)
        for at, image in enumerate(moving_texture(12, 64, 48)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = at, Fraction(1, 24)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def _add_audio(out, codec, n):
    track = out.add_stream(codec, rate=48_000)
    track.metadata["language"] = ["eng", "rus", "deu"][n]
    return track


def _beep(out, track, seconds, pitch, start_s=0):
    size = track.codec_context.frame_size or 1024
    layout = "stereo"
    for k in range(max(1, int(seconds * 48_000) // size)):
        phase = (np.arange(size) + k * size) * 2 * np.pi * pitch / 48_000
        wave = (np.sin(phase) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.repeat(2)[None], "s16", layout)
        frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
        frame.pts = k * size + int(start_s * 48_000)
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


_TEXTS = {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}


def _add_text(out, path, n):
    stream = out.add_mux_stream(_TEXTS.get(path.suffix, "subrip"), time_base=Fraction(1, 1000))
    stream.metadata["language"] = ["eng", "rus"][n]
    return stream


def _write_text(out, stream, path, lines):
    for start, end, text in lines:
        data = text.encode()
        if _TEXTS.get(path.suffix) == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        packet = Packet(data)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = start
        packet.duration = end - start
        out.mux(packet)


def video_times(path):
    """Presentation times of all frames as exact seconds, in order."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def decoded(path):
    """All frames as arrays of their luma plane."""
    with av.open(str(path)) as container:
        return [plane_array(frame, 0) for frame in container.decode(video=0)]


def plane_array(frame, index):
    """A copy of one plane as an array H×W."""
    return torch.from_dlpack(frame.planes[index]).clone().numpy()


def payloads(path, kind):
    """Per stream of a kind: codec, language, and the packets' times and bytes."""
    with av.open(str(path)) as container:
        streams = [each for each in container.streams if each.type == kind]
        found = {
            each.index: (
                each.codec_context.codec.canonical_name,
                each.metadata.get("language"),
                [],
            )
            for each in streams
        }
        if streams:
            for packet in container.demux(streams):
                if packet.size and bytes(packet) != b"\0\0":  # gaps between texts in MP4
                    at = packet.pts * packet.time_base
                    found[packet.stream_index][2].append((at, bytes(packet)))
        return list(found.values())

"""Draw ``sample.mp4``, the clip that is shipped: ``python data/samples/make_sample.py``.

3 s, 320×180, 24 frames/s, H.264 BT.709 limited range, AAC mono, one subtitle track (mov_text).
It holds what goes wrong when video is enlarged and made smoother: moving texture, objects that
cover each other, thin lines, small text, a frame counter, a scene cut, and beeps that start with
the first of two white frames, so that sound out of step is seen. The file is the same at every run
with the same versions of PyAV and OpenCV.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio import AudioStream
from av.subtitles.subtitle import SubtitleSet
from av.video import VideoStream
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

Canvas = NDArray[np.uint8]

WIDTH, HEIGHT, FPS, FRAMES = 320, 180, 24, 72
CUT = 44
"""First frame of the second scene."""
FLASHES = (12, 34, 60)
"""First frames of the flashes, each two frames long, each with a beep of the same length."""
SAMPLE_RATE = 48_000
BEEP_HZ = 1000
SUBTITLES = ((0.25, 1.5, "Hills pass by"), (1.9, 2.9, "A wheel turns · Колесо"))

_FINER = 3
#: One thread is not enough: x264's fast macroblock tree differs from run to run.
_REPEATABLE = "threads=1:lookahead-threads=1:mbtree=0"
#: Colour codes of ITU-T H.273: BT.709 is 1 in all three tables.
_BT709 = 1


def main() -> None:
    path = Path(__file__).with_name("sample.mp4")
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        video = _add_video(container)
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=64_000)
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        subtitles = container.add_stream("mov_text")
        subtitles.time_base = Fraction(1, 1000)
        subtitles.codec_context.time_base = Fraction(1, 1000)
        subtitles.codec_context.subtitle_header = _ass_header()
        subtitles.metadata["language"] = "eng"
        subtitles.codec_context.open(strict=False)
        _write_video(container, video)
        _write_audio(container, audio)
        for start_s, end_s, text in SUBTITLES:
            container.mux(_subtitle_packet(subtitles, start_s, end_s, text))
    print(f"wrote {path}: {path.stat().st_size} bytes")


def draw_frame(number: int) -> Canvas:
    """Frame ``number``, HEIGHT×WIDTH×3 RGB."""
    if any(start <= number < start + 2 for start in FLASHES):
        canvas = np.full((HEIGHT * _FINER, WIDTH * _FINER, 3), 255, np.uint8)
    else:
        canvas = _hills(number) if number < CUT else _wheel(number - CUT)
    ink = (20, 20, 30) if number < CUT else (250, 250, 240)
    _write(canvas, f"{number:03d}", (268, 24), 0.75, (20, 20, 30) if canvas.min() == 255 else ink)
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def draw_sound() -> NDArray[np.float32]:
    """All samples, silence but for the beeps, each faded over a millisecond at both ends."""
    sound = np.zeros(FRAMES * SAMPLE_RATE // FPS, np.float32)
    length = 2 * SAMPLE_RATE // FPS
    time_s = np.arange(length) / SAMPLE_RATE
    edge = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / 48)
    beep = 0.4 * np.sin(2 * np.pi * BEEP_HZ * time_s) * edge
    for frame in FLASHES:
        start = frame * SAMPLE_RATE // FPS
        sound[start : start + length] = beep
    return sound


def _hills(step: int) -> Canvas:
    """Three ranges of hills at their own speeds, a sun behind, a textured field, a balloon."""
    rows = np.linspace(0, 1, HEIGHT * _FINER)[:, None]
    sky = (1 - rows) * np.array([90, 150, 225]) + rows * np.array([255, 225, 170])
    canvas = np.repeat(np.rint(sky).astype(np.uint8)[:, None], WIDTH * _FINER, 1)
    _circle(canvas, 236 - 0.3 * step, 58, 20, (255, 240, 150))
    for speed, base, height, colour in (
        (0.6, 96, 22, (130, 150, 190)),
        (1.4, 116, 16, (80, 130, 110)),
        (2.6, 136, 11, (50, 100, 60)),
    ):
        x = np.arange(WIDTH * _FINER) / _FINER + speed * step
        ridge = base - height * (np.sin(x / 31) + 0.5 * np.sin(x / 13 + base)) / 1.5
        below = np.arange(HEIGHT * _FINER)[:, None] / _FINER > ridge[None]
        canvas[below] = colour
    _field(canvas, 4.0 * step)
    _balloon(canvas, 40 + 2.2 * step, 70 - 0.5 * step)
    _write(canvas, "noxfvr sample", (12, 24), 0.75, (20, 20, 30))
    return canvas


def _field(canvas: Canvas, moved: float) -> None:
    """Grass from a fixed seed slides by at the bottom."""
    grain = np.random.default_rng(5).normal(0, 26, (26, 640, 1))
    grass = np.clip(np.array([96, 140, 52]) + grain, 0, 255).astype(np.uint8)
    size = (WIDTH * _FINER, 26 * _FINER)
    shift = np.array([[1 / _FINER, 0, moved], [0, 1 / _FINER, 0]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    canvas[-26 * _FINER :] = cv2.warpAffine(grass, shift, size, flags=flags)


def _balloon(canvas: Canvas, x: float, y: float) -> None:
    for side in (-9, 9):
        _line(canvas, (x + side, y + 10), (x + side / 3, y + 32), (60, 40, 30))
    _circle(canvas, x, y, 17, (200, 50, 50))
    for stripe in (-9, 0, 9):
        span = float(np.sqrt(17**2 - stripe**2))
        _line(canvas, (x + stripe, y - span), (x + stripe, y + span), (250, 230, 200))
    corners = np.array(
        [_fixed(x + dx, y + dy) for dx, dy in ((-4, 32), (4, 32), (3, 38), (-3, 38))]
    )
    cv2.fillPoly(canvas, [corners.astype(np.int32)], (120, 80, 40), cv2.LINE_AA, 4)


def _wheel(step: int) -> Canvas:
    """A wheel of thin spokes turns over moving tiles while a line of text crawls below."""
    y, x = np.mgrid[0 : HEIGHT * _FINER, 0 : WIDTH * _FINER] / _FINER
    tiles = ((x + 1.5 * step) // 16 + (y + 0.7 * step) // 16) % 2
    canvas = np.where(tiles[..., None] > 0, (44, 52, 84), (30, 36, 62)).astype(np.uint8)
    _circle(canvas, 160, 84, 62, (210, 120, 60))
    _circle(canvas, 160, 84, 55, (36, 40, 58))
    for spoke in range(12):
        angle = np.radians(30 * spoke + 1.8 * step)
        tip = (160 + 57 * np.cos(angle), 84 + 57 * np.sin(angle))
        _line(canvas, (160, 84), tip, (240, 220, 190))
        _circle(canvas, *tip, 5, ((90, 190, 210), (230, 90, 110), (240, 200, 80))[spoke % 3])
    _circle(canvas, 160, 84, 9, (210, 120, 60))
    canvas[-24 * _FINER :] = (14, 16, 26)
    crawl = "larger and smoother, from a machine rented for the job and given back at once"
    _write(canvas, crawl, (90 - 3 * step, 172), 0.55, (235, 235, 225))
    return canvas


def _write(
    canvas: Canvas,
    text: str,
    spot: tuple[float, float],
    size: float,
    colour: tuple[int, int, int],
) -> None:
    spot = (round(spot[0] * _FINER), round(spot[1] * _FINER))
    cv2.putText(
        canvas, text, spot, cv2.FONT_HERSHEY_SIMPLEX, size * _FINER, colour, 4, cv2.LINE_AA
    )


def _circle(
    canvas: Canvas, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    size = round(radius * _FINER * 16)
    cv2.circle(canvas, _fixed(x, y), size, colour, -1, cv2.LINE_AA, 4)


def _line(
    canvas: Canvas,
    start: tuple[float, float],
    stop: tuple[float, float],
    colour: tuple[int, int, int],
) -> None:
    cv2.line(canvas, _fixed(*start), _fixed(*stop), colour, _FINER, cv2.LINE_AA, 4)


def _fixed(x: float, y: float) -> tuple[int, int]:
    """Picture coordinates → OpenCV's fixed-point ones (four bits) on the finer canvas."""
    return round(x * _FINER * 16), round(y * _FINER * 16)


def _add_video(container: av.container.OutputContainer) -> VideoStream:
    stream = container.add_stream(
        "libx264",
        rate=FPS,
        options={"crf": "18", "preset": "slow", "x264-params": _REPEATABLE},
    )
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    stream.time_base = Fraction(1, FPS)
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = ColorRange.MPEG
    return stream


def _write_video(container: av.container.OutputContainer, stream: VideoStream) -> None:
    for number in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(draw_frame(number), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_audio(container: av.container.OutputContainer, stream: AudioStream) -> None:
    frame = av.AudioFrame.from_ndarray(draw_sound()[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    frame.time_base = Fraction(1, SAMPLE_RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _subtitle_packet(
    stream: av.subtitles.stream.SubtitleStream, start_s: float, end_s: float, text: str
) -> av.Packet:
    length = round((end_s - start_s) * 1000)
    line = SubtitleSet.create(f"0,0,Default,,0,0,0,,{text}".encode(), 0, length)
    packet = stream.codec_context.encode_subtitle(line)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = round(start_s * 1000)
    packet.duration = length
    return packet


def _ass_header() -> bytes:
    """The least header that FFmpeg's text subtitle encoders read a style from."""
    return (
        b"[Script Info]\nScriptType: v4.00+\nPlayResX: 384\nPlayResY: 288\n\n[V4+ Styles]\n"
        b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, "
        b"BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
        b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
        b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,"
        b"10,0\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, "
        b"Effect, Text\n"
    )


if __name__ == "__main__":
    main()

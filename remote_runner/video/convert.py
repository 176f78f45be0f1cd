"""Streams that the wished container cannot hold as they are, made into what it can."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Protocol, cast

import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from remote_runner.video.source import codec_name
from remote_runner.video.texts import READ, read_text, write_text

log = logging.getLogger(__name__)

#: What audio and text subtitles become in a container that cannot hold them.
TARGETS = {
    "mp4": {"audio": "aac", "subtitle": "mov_text"},
    "mov": {"audio": "aac", "subtitle": "mov_text"},
    "mkv": {"audio": "aac", "subtitle": "subrip"},
    "webm": {"audio": "opus", "subtitle": "webvtt"},
}

_ENCODERS = {"aac": "aac", "opus": "libopus"}
_BITS_PER_CHANNEL = {"aac": 96_000, "opus": 64_000}
_OPUS_RATE = 48_000
#: AAC-LC (ISO/IEC 14496-3, table 1.18).
_AAC_RATES = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    8_000,
)
#: The encoder of timed text asks for the head of a script that it takes its style from.
_STYLE = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


class Converter(Protocol):
    """Makes packets of another format; ``target`` is the stream that they belong to."""

    target: Stream

    def take(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """What comes of one more packet."""

    def finish(self) -> list[Packet[Stream]]:
        """What is left at the end."""


def target_codec(stream: Stream, extension: str) -> str | None:
    """What a stream can become in a container; none where it cannot be converted."""
    codec = TARGETS[extension].get(stream.type)
    if stream.type == "audio" and stream.codec_context is None:
        return None
    if stream.type == "subtitle" and codec_name(stream) not in READ:
        return None
    return codec


def add_converter(container: OutputContainer, stream: Stream, codec: str) -> Converter:
    """Add a stream of another format to a container that has no header yet."""
    if stream.type == "audio":
        return AudioConverter(container, cast(AudioStream, stream), codec)
    return TextConverter(container, stream, codec)


class AudioConverter:
    """Decodes and encodes sound; where packets are missing there is silence."""

    def __init__(self, container: OutputContainer, stream: AudioStream, codec: str) -> None:
        context = stream.codec_context
        rate = _nearest_rate(codec, context.sample_rate)
        channels = context.layout.nb_channels
        added = cast(AudioStream, container.add_stream(_ENCODERS[codec], rate=rate))
        self.target: Stream = added
        self._encoder = added.codec_context
        self._encoder.layout = _layout(channels)
        self._encoder.bit_rate = _BITS_PER_CHANNEL[codec] * self._encoder.layout.nb_channels
        self._source = stream
        self._rate = rate
        self._resampler: AudioResampler | None = None
        self._shape: tuple[object, ...] | None = None
        self.damaged = 0

    def take(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """What comes of one more packet."""
        made: list[Packet[Stream]] = []
        try:
            frames = cast("list[AudioFrame]", packet.decode())
        except av.error.InvalidDataError as error:
            self.damaged += 1
            log.warning("a packet of sound could not be decoded: %s", error.strerror)
            return made
        for frame in frames:
            made += self._encode(self._resample(frame))
        return made

    def finish(self) -> list[Packet[Stream]]:
        """What is left at the end."""
        made: list[Packet[Stream]] = []
        try:
            for frame in self._source.decode(None):
                made += self._encode(self._resample(frame))
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            log.info("the end of the sound: %s", error.strerror)
        if self._resampler is not None:
            made += self._encode(self._resampler.resample(None))
        made += cast("list[Packet[Stream]]", self._encoder.encode(None))
        return self._of_target(made)

    def _resample(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        rest: list[AudioFrame] = []
        if self._resampler is None or shape != self._shape:
            if self._resampler is not None:
                rest = self._resampler.resample(None)
            self._resampler = AudioResampler(
                format=self._encoder.format,
                layout=self._encoder.layout,
                rate=self._rate,
                options={"async": "1"},
            )
            self._shape = shape
        return [*rest, *self._resampler.resample(frame)]

    def _encode(self, frames: list[AudioFrame]) -> list[Packet[Stream]]:
        made: list[Packet[Stream]] = []
        for frame in frames:
            made += cast("list[Packet[Stream]]", self._encoder.encode(frame))
        return self._of_target(made)

    def _of_target(self, packets: list[Packet[Stream]]) -> list[Packet[Stream]]:
        for packet in packets:
            packet.stream = self.target
        return packets


class TextConverter:
    """Says texts in another format; packets without a text fall away."""

    def __init__(self, container: OutputContainer, stream: Stream, codec: str) -> None:
        self._from, self._to = codec_name(stream), codec
        if codec == "mov_text":
            added = cast(SubtitleStream, container.add_stream(codec))
            added.codec_context.subtitle_header = _STYLE
            added.time_base = Fraction(1, 1000)
            self.target: Stream = added
        else:
            self.target = container.add_mux_stream(codec, time_base=stream.time_base)

    def take(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """What comes of one more packet."""
        text = read_text(self._from, bytes(packet))
        if not text:
            return []
        made: Packet[Stream] = Packet(write_text(self._to, text))
        made.time_base = packet.time_base
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.stream = self.target
        return [made]

    def finish(self) -> list[Packet[Stream]]:
        """Nothing is left."""
        return []


def _nearest_rate(codec: str, rate: int) -> int:
    """The lowest rate of the codec that keeps all of a sound, or the highest that there is."""
    if codec == "opus":
        return _OPUS_RATE
    return min((each for each in _AAC_RATES if each >= rate), default=_AAC_RATES[0])


def _layout(channels: int) -> str:
    """Channels that every player knows; none is lost up to eight."""
    if channels <= 2:
        return "mono" if channels == 1 else "stereo"
    return "5.1" if channels <= 6 else "7.1"

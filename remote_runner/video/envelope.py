"""How long a file says that it is, from its outermost boxes: the surest sign of a cut copy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remote_runner.video.remote import RemoteFile
from remote_runner.video.source import Seekable, open_bytes, size_of

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_MP4_FIRST = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"}
#: Where the tables of a track lie (ISO/IEC 14496-12 8).
_INSIDE = {
    b"moov": (b"trak",), b"trak": (b"edts", b"mdia"), b"edts": (b"elst",),
    b"mdia": (b"hdlr", b"minf"), b"minf": (b"stbl",), b"stbl": (b"stts", b"stsz", b"stz2"),
}  # fmt: skip


@dataclass(slots=True)
class Track:
    """What the tables of a track declare; what they do not is nought."""

    kind: bytes = b""
    """Of its handler: ``vide``, ``soun`` …"""
    edits: int = 0
    samples: int = 0
    is_even: bool = False
    """One length for all samples, a tick."""

    @property
    def is_plain(self) -> bool:
        """Sound, a tick for each value: FFmpeg takes the values of a chunk together. Where the
        table of times has more than one entry it does not, whatever they say."""
        return self.kind == b"soun" and self.is_even


def tracks_of(source: Path | RemoteFile) -> list[Track]:
    """The tracks of an ISO base media file, of whose tables only the sizes are read; none of any
    other. An index that is compressed, or laid out as no writer does it, has none either."""
    size = size_of(source)
    tracks: list[Track] = []
    with open_bytes(source) as file:
        if file.read(12)[4:8] in _MP4_FIRST:
            for name, body, end in _boxes(file, 0, size):
                if name == b"moov":
                    _note_tables(file, name, body, min(end, size), tracks)
    return tracks


def missing_part(source: Path | RemoteFile) -> str | None:
    """What is missing from a file that ends too early, in words; none if it looks whole.

    Knows ISO base media (MP4, MOV), RIFF (AVI) and EBML (Matroska, WebM); anything else is whole
    as far as can be told from here.
    """
    size = size_of(source)
    with open_bytes(source) as file:
        head = file.read(12)
        if head[4:8] in _MP4_FIRST:
            return _missing_box(file, size)
        if head[:4] == b"RIFF":
            return _short(8 + struct.unpack("<I", head[4:8])[0], size) if len(head) > 8 else None
        if head[:4] == _EBML:
            return _missing_segment(file, size)
    return None


def payload_of(source: Path | RemoteFile) -> list[range]:
    """Where the packets of an ISO base media file with one index lie; nothing for any other."""
    size = size_of(source)
    with open_bytes(source) as file:
        if file.read(12)[4:8] not in _MP4_FIRST:
            return []
        boxes = list(_boxes(file, 0, size))
    names = {name for name, _, _ in boxes}
    if b"moov" not in names or b"moof" in names:
        return []
    starts = [0, *(end for _, _, end in boxes)]
    return [
        range(start + 16, end)  # behind the longest header that a box has
        for start, (name, _, end) in zip(starts, boxes, strict=False)
        if name == b"mdat"
    ]


def _note_tables(file: Seekable, parent: bytes, start: int, end: int, tracks: list[Track]) -> None:
    for name, body, until in _boxes(file, start, end):
        if name not in _INSIDE[parent]:
            continue
        if name == b"trak":
            tracks.append(Track())
        if name in _INSIDE:
            _note_tables(file, name, body, min(until, end), tracks)
            continue
        file.seek(body + 4)  # behind version and flags
        _note_table(tracks[-1], name, file.read(12))


def _note_table(track: Track, name: bytes, head: bytes) -> None:
    first, second, third = (int.from_bytes(head[at : at + 4]) for at in (0, 4, 8))
    match name:
        case b"hdlr":
            track.kind = head[4:8]
        case b"elst":
            track.edits += first
        case b"stts":  # entries, then of each how many values, and how long each is
            track.is_even = first == third == 1
        case _:  # the size of all, or of the field, then how many
            track.samples += second


def _missing_box(file: Seekable, size: int) -> str | None:
    names = set()
    for name, _, end in _boxes(file, 0, size):
        names.add(name)
        if end > size:
            return f"box {name.decode('latin-1')!r}: {_short(end, size)}"
    if b"moov" not in names and b"moof" not in names:
        return "the index (moov) is missing"
    return None


def _boxes(file: Seekable, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and declared end of every box between these places
    (ISO/IEC 14496-12 4.2)."""
    while start + 8 <= size:
        file.seek(start)
        length, name = struct.unpack(">I4s", file.read(8))
        body = start + 8
        if length == 1:
            raw = file.read(8)
            body += 8
            length = struct.unpack(">Q", raw)[0] if len(raw) == 8 else size
        elif length == 0:
            length = size - start
        if length < 8:
            return
        yield name, body, start + length
        start += length


def _missing_segment(file: Seekable, size: int) -> str | None:
    """The segment is the second element; its size is unknown in live recordings (RFC 8794 6)."""
    file.seek(4)
    header_bytes = _vint(file)
    if header_bytes is None or header_bytes > size:
        return None
    file.seek(header_bytes, 1)
    if int.from_bytes(file.read(4), "big") != _SEGMENT:
        return None
    segment_bytes = _vint(file)
    return None if segment_bytes is None else _short(file.tell() + segment_bytes, size)


def _vint(file: Seekable) -> int | None:
    """A variable-size integer of EBML (RFC 8794 4); none if it is "unknown" or broken."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = first[0] & ((1 << (8 - length)) - 1)
    value = (value << 8 * (length - 1)) | int.from_bytes(file.read(length - 1), "big")
    return None if value == (1 << 7 * length) - 1 else value


def _short(declared: int, size: int) -> str | None:
    return f"{declared - size} bytes are missing" if declared > size else None

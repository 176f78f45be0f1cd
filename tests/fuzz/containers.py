"""The structure of video files, and what is done to it: pieces lost, swapped, doubled, resized.

Of MP4 and MOV boxes (ISO/IEC 14496-12), of Matroska and WebM EBML elements (RFC 8794), of AVI RIFF
chunks; of everything else pieces of one size.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.fuzz.bending import flip

_PARENT_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf",
                 b"dinf", b"mvex"}  # fmt: skip
#: Segment, SeekHead, Info, Tracks, TrackEntry, Video, Audio, Cluster, BlockGroup, Cues, Tags,
#: Attachments, Chapters, EditionEntry, ChapterAtom.
_PARENT_ELEMENTS = {
    0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0,
    0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0x45B9, 0xB6,
}  # fmt: skip
_SIZES = (0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_PACKET = 188


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes ``start`` to ``end`` of a file; its header ends at ``body``."""

    start: int
    body: int
    end: int
    parent: int
    """Start of the piece that it is in; -1 at the top."""
    size_at: int
    size_bytes: int
    """Where its size is written; 0 bytes where it is not."""


def pieces_of(data: bytes) -> list[Piece]:
    """All pieces, those inside of others too, in the order of their starts."""
    if data[4:8] in (b"ftyp", b"wide", b"moov"):
        return list(_boxes(data, 0, len(data), -1))
    if data[:4] == b"\x1aE\xdf\xa3":
        return list(_elements(data, 0, len(data), -1))
    if data[:4] == b"RIFF":
        return list(_chunks(data, 0, len(data), -1))
    return [
        Piece(start=at, body=min(at + 4, len(data)), end=min(at + _PACKET, len(data)),
              parent=-1, size_at=at, size_bytes=0)
        for at in range(0, len(data), _PACKET)
    ]  # fmt: skip


def _boxes(data: bytes, at: int, end: int, parent: int) -> Iterator[Piece]:
    while at + 8 <= end:
        size, header, size_at, size_bytes = int.from_bytes(data[at : at + 4]), 8, at, 4
        if size == 1:
            size, header, size_at, size_bytes = (
                int.from_bytes(data[at + 8 : at + 16]),
                16,
                at + 8,
                8,
            )
        if size < header or at + size > end:
            return
        yield Piece(start=at, body=at + header, end=at + size, parent=parent, size_at=size_at,
                    size_bytes=size_bytes)  # fmt: skip
        if data[at + 4 : at + 8] in _PARENT_BOXES:
            yield from _boxes(data, at + header, at + size, at)
        at += size


def _elements(data: bytes, at: int, end: int, parent: int) -> Iterator[Piece]:
    while at < end:
        name_bytes = _vint_bytes(data[at])
        size_at = at + name_bytes
        if size_at >= end:
            return
        size_bytes = _vint_bytes(data[size_at])
        body = size_at + size_bytes
        size = int.from_bytes(data[size_at:body]) & ((1 << (7 * size_bytes)) - 1)
        name = int.from_bytes(data[at:size_at])
        # all ones: until the end of what it is in
        until = end if size == (1 << (7 * size_bytes)) - 1 else min(body + size, end)
        if until <= at:
            return
        yield Piece(start=at, body=min(body, until), end=until, parent=parent, size_at=size_at,
                    size_bytes=size_bytes)  # fmt: skip
        if name in _PARENT_ELEMENTS:
            yield from _elements(data, body, until, at)
        at = until


def _vint_bytes(first: int) -> int:
    return 9 - max(1, first.bit_length())


def _chunks(data: bytes, at: int, end: int, parent: int) -> Iterator[Piece]:
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        is_list = data[at : at + 4] in (b"RIFF", b"LIST")
        body, until = at + (12 if is_list else 8), min(at + 8 + size, end)
        if body > until:
            return
        yield Piece(start=at, body=body, end=until, parent=parent, size_at=at + 4, size_bytes=4)
        if is_list:
            yield from _chunks(data, body, until, at)
        at = until + size % 2


# --- what is done to them --------------------------------------------------------------------


def _cut(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    """The file ends at, or beside, a boundary."""
    piece = rng.choice(pieces)
    at = rng.choice((piece.start, piece.body, piece.end, (piece.body + piece.end) // 2))
    return data[: max(0, at + rng.choice((-1, 0, 0, 0, 1)))]


def _resize(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    piece = rng.choice([each for each in pieces if each.size_bytes] or pieces)
    right = piece.end - piece.start
    size = rng.choice((*_SIZES, right + 1, right - 1, right * 2, right // 2))
    field = (size % (1 << (8 * piece.size_bytes))).to_bytes(piece.size_bytes) or rng.randbytes(4)
    return data[: piece.size_at] + field + data[piece.size_at + len(field) :]


def _drop(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    piece = rng.choice(pieces)
    return data[: piece.start] + data[piece.end :]


def _double(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    piece, where = rng.choice(pieces), rng.choice(pieces)
    at = rng.choice((piece.end, where.start, where.end))
    return data[:at] + data[piece.start : piece.end] * rng.choice((1, 1, 3)) + data[at:]


def _swap(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    """Two neighbours inside of the same piece."""
    first = rng.choice(pieces)
    siblings = [each for each in pieces if each.parent == first.parent]
    second = rng.choice(siblings)
    first, second = sorted((first, second), key=lambda each: each.start)
    if first.end > second.start:
        return data[: first.start] + data[first.start : first.end][::-1] + data[first.end :]
    return b"".join((
        data[: first.start], data[second.start : second.end], data[first.end : second.start],
        data[first.start : first.end], data[second.end :],
    ))  # fmt: skip


def _blank(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    piece = rng.choice(pieces)
    size = piece.end - piece.body
    filling = rng.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * size
    return data[: piece.body] + rng.choice((filling, rng.randbytes(size))) + data[piece.end :]


def _number(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    """Four bytes of a small piece, where counts, sizes and times are, are another number."""
    small = [each for each in pieces if 4 <= each.end - each.body <= 400] or pieces
    piece = rng.choice(small)
    at = piece.body + 4 * rng.randrange(max(1, (piece.end - piece.body) // 4))
    value = rng.choice((0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, rng.getrandbits(32)))
    return data[:at] + value.to_bytes(4, rng.choice(("big", "little"))) + data[at + 4 :]


def _flip_header(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    piece = rng.choice(pieces)
    until = min(piece.end, piece.body + 32)
    changed = flip(data[piece.start : until], rng, rng.choice((1, 2, 5)))
    return data[: piece.start] + changed + data[until:]


def _flip_anywhere(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    return flip(data, rng, rng.choice((1, 4, 32, 200)), weighted=rng.random() < 0.5)


def _grow(data: bytes, pieces: list[Piece], rng: random.Random) -> bytes:
    tail = rng.randbytes(rng.choice((1, 16, 5000)))
    return data + rng.choice((tail, b"\x00" * len(tail), data, b"\x00\x00\x00\x00moov"))


_DEEDS: tuple[Callable[[bytes, list[Piece], random.Random], bytes], ...] = (
    _cut, _cut, _resize, _resize, _drop, _double, _swap, _blank, _number, _number, _flip_header,
    _flip_header, _flip_anywhere, _grow,
)  # fmt: skip


def damage(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """A file with one to three things done to it, and what they are called."""
    told = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        pieces = pieces_of(data)
        if not pieces:
            break
        deed = rng.choice(_DEEDS)
        data = deed(data, pieces, rng)
        told.append(deed.__name__.strip("_"))
    return data, "+".join(told)

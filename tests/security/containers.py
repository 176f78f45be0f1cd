"""Containers written by hand, because no muxer writes what the files of these tests say."""

import struct
import zlib
from fractions import Fraction

import av
import numpy as np

# --- ISO base media ----------------------------------------------------------------------------


def box(name, *parts):
    """A box of ISO/IEC 14496-12."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name, *parts, version=0, flags=0):
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def ftyp(brand=b"isom"):
    return box(b"ftyp", brand, bytes(4), brand)


def movie(*tracks, scale=1000, duration=1000, extra=b""):
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    mvhd = full(
        b"mvhd",
        struct.pack(">4I", 0, 0, scale, duration),
        struct.pack(">IH10x", 0x10000, 0x100),
        matrix,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    return box(b"moov", mvhd, *tracks, extra)


def track(
    number,
    table,
    *,
    kind=b"vide",
    size=(64, 48),
    scale=1000,
    duration=1000,
    references=None,
    extra=b"",
):
    """A track whose tables are ``table``."""
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    tkhd = full(
        b"tkhd",
        struct.pack(">5I", 0, 0, number, 0, duration),
        bytes(16),
        matrix,
        struct.pack(">2I", size[0] << 16, size[1] << 16),
        flags=3,
    )
    mdhd = full(b"mdhd", struct.pack(">4IHH", 0, 0, scale, duration, 0x55C4, 0))
    hdlr = full(b"hdlr", bytes(4), kind, bytes(13))
    inside = references or full(b"url ", flags=1)
    dinf = box(b"dinf", full(b"dref", struct.pack(">I", 1), inside))
    media = full(b"vmhd", bytes(8), flags=1) if kind == b"vide" else full(b"nmhd")
    minf = box(b"minf", media, dinf, box(b"stbl", *table))
    return box(b"trak", tkhd, extra, box(b"mdia", mdhd, hdlr, minf))


def video_entry(codec=b"mp4v", size=(64, 48), *inside):
    entry = box(
        codec,
        bytes(6),
        struct.pack(">H", 1),
        bytes(16),
        struct.pack(">HHIIIH", *size, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
        *inside,
    )
    return full(b"stsd", struct.pack(">I", 1), entry)


def tables(
    entry,
    *,
    count,
    size=0,
    sizes=(),
    delta=40,
    offset=8,
    per_chunk=None,
    chunks=1,
    stts=None,
    ctts=b"",
):
    return (
        entry,
        stts or full(b"stts", struct.pack(">3I", 1, count, delta)),
        ctts,
        full(b"stsc", struct.pack(">4I", 1, 1, per_chunk or count, 1)),
        full(b"stsz", struct.pack(">2I", size, count), *(struct.pack(">I", s) for s in sizes)),
        full(b"stco", struct.pack(">I", chunks), struct.pack(">I", offset) * chunks),
    )


def mov_of(entry, samples, *, delta=40, scale=1000, size=(64, 48), extra=b""):
    """A film of these packets."""
    head = ftyp(b"qt  ")
    mdat = box(b"mdat", *samples)
    table = tables(
        entry,
        count=len(samples),
        sizes=[len(s) for s in samples],
        offset=len(head) + 8,
        delta=delta,
    )
    duration = delta * len(samples)
    return (
        head
        + mdat
        + movie(
            track(1, table, size=size, scale=scale, duration=duration, extra=extra),
            scale=scale,
            duration=duration,
        )
    )


# --- Matroska ----------------------------------------------------------------------------------


def vint(value, length=8):
    return ((1 << 7 * length) | value).to_bytes(length, "big")


def element(number, *parts, declared=None):
    """An EBML element (RFC 8794)."""
    body = b"".join(parts)
    ident = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return ident + vint(len(body) if declared is None else declared) + body


def number(ident, value, length=8):
    return element(ident, value.to_bytes(length, "big"))


def ebml():
    return element(
        0x1A45DFA3,
        number(0x4286, 1), number(0x42F7, 1), number(0x42F2, 4), number(0x42F3, 8),
        element(0x4282, b"matroska"), number(0x4287, 4), number(0x4285, 2),
    )  # fmt: skip


def mkv_video(ident=1, codec=b"V_MPEG4/ISO/ASP", size=(64, 48), *inside):
    return element(
        0xAE,
        number(0xD7, ident), number(0x73C5, ident), number(0x83, 1), element(0x86, codec),
        element(0xE0, number(0xB0, size[0]), number(0xBA, size[1])), *inside,
    )  # fmt: skip


def mkv(*parts, scale=1_000_000, duration=1000.0):
    info = element(
        0x1549A966, number(0x2AD7B1, scale), element(0x4489, struct.pack(">d", duration)),
        element(0x4D80, b"x"), element(0x5741, b"x"),
    )  # fmt: skip
    return ebml() + element(0x18538067, info, *parts)


def simple_block(data, at=0, flags=0x80, ident=1):
    return element(0xA3, vint(ident, 1), struct.pack(">hB", at, flags), data)


def cluster(at, *blocks):
    return element(0x1F43B675, number(0xE7, at), *blocks)


# --- others ------------------------------------------------------------------------------------


def png(width, height, *, rows=None):
    """A grey PNG of zeros."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    data = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def y4m(width, height, rate, frames, data=b""):
    return (
        f"YUV4MPEG2 W{width} H{height} F{rate} C420jpeg\n".encode() + (b"FRAME\n" + data) * frames
    )


def gif(width, height, frames):
    """Frames of one pixel on a large canvas: some bytes each."""
    frame = (
        b"\x21\xf9\x04\x08\x01\x00\x00\x00"
        b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    )
    return (
        b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6) + frame * frames
        + b"\x3b"
    )  # fmt: skip


def avi_declares(width=64, height=48, *, scale=1, rate=25, extradata=0, length=10):
    avih = struct.pack("<14I", 41666, 0, 0, 0, length, 0, 1, 0, width, height, 0, 0, 0, 0)
    strh = b"vids" + b"FMP4" + struct.pack("<10I4H", 0, 0, 0, scale, rate, 0, length, *[0] * 7)
    strf = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"FMP4", 0, 0, 0, 0, 0)
    strl = _list(b"strl", _chunk(b"strh", strh), _chunk(b"strf", strf, declared=40 + extradata))
    movi = _list(b"movi", _chunk(b"00dc", FRAME) * 3)
    inside = _list(b"hdrl", _chunk(b"avih", avih), strl) + movi
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"AVI " + inside


def _chunk(name, data, declared=None):
    length = len(data) if declared is None else declared
    return name + struct.pack("<I", length) + data + b"\0" * (len(data) % 2)


def _list(name, *parts):
    return _chunk(b"LIST", name + b"".join(parts))


def _frame():
    """One key frame of MPEG-4 part 2, 64 by 48, with its headers."""
    context = av.CodecContext.create("mpeg4", "w")
    context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
    context.time_base = Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
    return bytes(context.encode(picture.reformat(format="yuv420p"))[0])


FRAME = _frame()

"""Small files that ask for much: each is named for what it tries to use up.

Every builder returns the whole file. The containers are written by hand, because no muxer writes
what these say.
"""

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


def samples_without_end():
    """Four thousand million samples of one byte each in a table of twelve bytes."""
    count = 0xFFFFFFF0
    table = tables(video_entry(), count=count, size=1)
    return ftyp() + movie(track(1, table)) + box(b"mdat", bytes(1000))


def many_samples():
    """Fifty million samples: an index that fits into memory, barely."""
    table = tables(video_entry(), count=50_000_000, size=1)
    return ftyp() + movie(track(1, table)) + box(b"mdat", bytes(1000))


def many_sounds():
    """The same in a track of sound. One of plain values may have as many: they are a tick long."""
    stsd = full(b"stsd", struct.pack(">I", 1), box(
        b"mp4a", bytes(6), struct.pack(">H", 1), bytes(8), struct.pack(">HHI", 1, 16, 0),
        struct.pack(">I", 8000 << 16),
    ))  # fmt: skip
    sound = track(2, tables(stsd, count=50_000_000, size=1), kind=b"soun")
    film = track(1, tables(video_entry(), count=1, size=8))
    return ftyp() + movie(film, sound) + box(b"mdat", bytes(1000))


def edits_without_end():
    """An edit list of a hundred thousand entries, over a hundred thousand samples."""
    edits = 100_000
    elst = full(b"elst", struct.pack(">I", edits), struct.pack(">IiI", 1000, 0, 0x10000) * edits)
    table = tables(video_entry(), count=100_000, size=1)
    made = track(1, table, extra=box(b"edts", elst), duration=4_000_000)
    return ftyp() + movie(made, duration=4_000_000) + box(b"mdat", bytes(100_000))


def hidden_edits():
    """The same in an index that is compressed: some kilobytes, in which nobody sees them."""
    index = edits_without_end()[len(ftyp()) :]
    index = index[: int.from_bytes(index[:4])]
    packed = box(b"cmvd", struct.pack(">I", len(index)), zlib.compress(index, 9))
    compressed = box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), packed))
    return ftyp() + compressed + box(b"mdat", bytes(100_000))


def boxes_in_boxes():
    """Boxes in boxes, thirty thousand deep."""
    inner = b""
    for _ in range(30_000):
        inner = struct.pack(">I", 8 + len(inner)) + b"udta" + inner
    return ftyp() + movie(extra=inner[: 1 << 20]) + box(b"mdat", bytes(8))


def many_tracks():
    """Twenty thousand tracks."""
    table = tables(video_entry(), count=1, size=8)
    return ftyp() + movie(*(track(n + 1, table) for n in range(20_000))) + box(b"mdat", bytes(8))


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


def picture_bomb():
    """A PNG of 60,000 by 60,000 in a track that says 64 by 48."""
    return mov_of(video_entry(b"png "), [png(60_000, 60_000, rows=200)] * 3)


def growing_pictures():
    """Small pictures for a second, then ones of 60,000 by 60,000."""
    small, huge = png(64, 48), png(60_000, 60_000, rows=200)
    return mov_of(video_entry(b"png "), [small] * 25 + [huge] * 5)


def large_pictures_late():
    """Small pictures for a second, then ones of the largest size that is allowed at all."""
    small, large = png(64, 48), png(8192, 4320)
    return mov_of(video_entry(b"png "), [small] * 25 + [large] * 5)


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


def empty_packets():
    """A million packets of no byte each: laced, 256 to a block."""
    block = simple_block(b"\xff" + b"\0" * 255, flags=0x82)
    return mkv(
        element(0x1654AE6B, mkv_video()), *(cluster(n * 1000, block * 40) for n in range(100))
    )


def mkv_many_tracks():
    """Fifty thousand tracks."""
    return mkv(element(0x1654AE6B, *(mkv_video(n + 1) for n in range(50_000))))


def many_chapters():
    """Half a million chapters."""
    tracks = element(0x1654AE6B, mkv_video())
    atom = element(
        0xB6, number(0x73C4, 1, 3), number(0x91, 0, 1), element(0x80, element(0x85, b"x"))
    )
    atoms = b"".join(atom[:-1] + b"x" for _ in range(500_000))
    chapters = element(0x1043A770, element(0x45B9, atoms))
    return mkv(tracks, chapters, cluster(0, simple_block(b"\0\0\1\xb6" + bytes(20))))


def many_attachments():
    """Two hundred thousand attached files of one byte."""
    one = element(
        0x61A7, element(0x466E, b"a"), element(0x4660, b"font/ttf"),
        element(0x465C, b"x"), number(0x46AE, 1),
    )  # fmt: skip
    return mkv(element(0x1654AE6B, mkv_video()), element(0x1941A469, one * 200_000))


def giant_private_data():
    """A codec's private data said to be of two gigabytes, in a file of a few bytes."""
    private = element(0x63A2, bytes(64), declared=2 << 30)
    return mkv(element(0x1654AE6B, mkv_video(1, b"V_MPEG4/ISO/AVC", (64, 48), private)))


def private_data(megabytes=60):
    """A codec's private data that is there: megabytes of it."""
    private = element(0x63A2, bytes(megabytes << 20))
    return mkv(element(0x1654AE6B, mkv_video(1, b"V_MPEG4/ISO/ASP", (64, 48), private)))


def deep_tags():
    """Tags in tags, without end."""
    inner = element(0x45A3, b"x")
    for _ in range(20_000):
        inner = element(0x67C8, inner)
        if len(inner) > 400_000:
            break
    return mkv(element(0x1654AE6B, mkv_video()), element(0x1254C367, element(0x7373, inner)))


def long_words():
    """A language of four megabytes, and a title as long."""
    words = b"e" * (4 << 20)
    tracks = element(
        0x1654AE6B, mkv_video(1, b"V_MPEG4/ISO/ASP", (64, 48), element(0x22B59C, words))
    )
    tag = element(
        0x7373, element(0x63C0), element(0x67C8, element(0x45A3, b"TITLE"), element(0x4487, words))
    )
    return mkv(tracks, element(0x1254C367, tag), cluster(0, simple_block(bytes(20))))


def far_times():
    """A second packet three hundred thousand years later."""
    clusters = (
        cluster(0, simple_block(FRAME)),
        cluster((1 << 62) // 1_000_000, simple_block(FRAME)),
    )
    return mkv(element(0x1654AE6B, mkv_video()), *clusters)


def zero_scale():
    """Ticks of no length."""
    return mkv(element(0x1654AE6B, mkv_video()), cluster(0, simple_block(FRAME)), scale=0)


def inflated_tracks():
    """Packets compressed with zlib, a thousandfold."""
    data = zlib.compress(bytes(200 << 20), 9)
    compressed = element(
        0x6D80, element(0x6240, number(0x5031, 0), number(0x5032, 1), number(0x5033, 0),
                        element(0x5034, number(0x4254, 0)))
    )  # fmt: skip
    tracks = element(0x1654AE6B, mkv_video(1, b"V_MPEG4/ISO/ASP", (64, 48), compressed))
    return mkv(tracks, *(cluster(n * 40, simple_block(data)) for n in range(30)))


# --- others ------------------------------------------------------------------------------------


def y4m(width, height, rate, frames, data=b""):
    return (
        f"YUV4MPEG2 W{width} H{height} F{rate} C420jpeg\n".encode() + (b"FRAME\n" + data) * frames
    )


def absurd_rate():
    """Thousand million frames a second."""
    return y4m(64, 48, "1000000000:1", 30, bytes(64 * 48 * 3 // 2))


def absurd_step():
    """A frame in thirty years."""
    return y4m(64, 48, "1:1000000000", 30, bytes(64 * 48 * 3 // 2))


def no_rate():
    return y4m(64, 48, "0:0", 30, bytes(64 * 48 * 3 // 2))


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


def gif_canvas():
    """A canvas of 65,535 by 65,535."""
    return gif(65_535, 65_535, 10)


def gif_frames():
    """Four hundred thousand frames on a canvas of 8K, in eight megabytes."""
    return gif(8192, 4320, 400_000)


def avi_declares(width=64, height=48, *, scale=1, rate=25, extradata=0, length=10):
    avih = struct.pack("<14I", 41666, 0, 0, 0, length, 0, 1, 0, width, height, 0, 0, 0, 0)
    strh = b"vids" + b"FMP4" + struct.pack("<10I4H", 0, 0, 0, scale, rate, 0, length, *[0] * 7)
    strf = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"FMP4", 0, 0, 0, 0, 0)
    strl = _list(b"strl", _chunk(b"strh", strh), _chunk(b"strf", strf, declared=40 + extradata))
    movi = _list(b"movi", _chunk(b"00dc", FRAME) * 3)
    inside = _list(b"hdrl", _chunk(b"avih", avih), strl) + movi
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"AVI " + inside


def avi_extradata():
    """A format chunk said to be of a gigabyte."""
    return avi_declares(extradata=1 << 30)


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

#: Refused before anything is made of them.
REFUSED = (
    samples_without_end, boxes_in_boxes, many_tracks, picture_bomb, empty_packets,
    mkv_many_tracks, many_attachments, giant_private_data, deep_tags, far_times, zero_scale,
    absurd_rate, absurd_step, gif_canvas, long_words, many_chapters, many_samples, many_sounds,
    edits_without_end,
)  # fmt: skip
#: Refused as well, after seconds, or large themselves.
HEAVY = (hidden_edits, private_data, inflated_tracks)
#: Harmless as far as can be seen without decoding all of it.
LATE = (growing_pictures, large_pictures_late, no_rate, avi_extradata)

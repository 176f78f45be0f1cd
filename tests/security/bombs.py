"""Small files that ask for much: each is named for what it tries to use up.

Every builder returns the whole file.
"""

import struct
import zlib

from tests.security.containers import (
    FRAME,
    avi_declares,
    box,
    cluster,
    element,
    ftyp,
    full,
    gif,
    mkv,
    mkv_video,
    mov_of,
    movie,
    number,
    png,
    simple_block,
    tables,
    track,
    video_entry,
    y4m,
)

# --- ISO base media ----------------------------------------------------------------------------


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


def absurd_rate():
    """Thousand million frames a second."""
    return y4m(64, 48, "1000000000:1", 30, bytes(64 * 48 * 3 // 2))


def absurd_step():
    """A frame in thirty years."""
    return y4m(64, 48, "1:1000000000", 30, bytes(64 * 48 * 3 // 2))


def no_rate():
    return y4m(64, 48, "0:0", 30, bytes(64 * 48 * 3 // 2))


def gif_canvas():
    """A canvas of 65,535 by 65,535."""
    return gif(65_535, 65_535, 10)


def gif_frames():
    """Four hundred thousand frames on a canvas of 8K, in eight megabytes."""
    return gif(8192, 4320, 400_000)


def avi_extradata():
    """A format chunk said to be of a gigabyte."""
    return avi_declares(extradata=1 << 30)


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

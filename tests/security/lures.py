"""Files that would make a player open something else: a file of this computer or an address.

Each builder takes a path and a URL of something worth reading and returns pairs of a file name and
its content. What they lure with is what FFmpeg's own formats can name.
"""

import struct

from tests.security.containers import box, ftyp, full, movie, tables, track, video_entry


def playlists(path, url):
    for place, what in (("file", str(path)), ("url", url), ("data", "data:video/mp4;base64,AAAA")):
        hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{what}\n#EXT-X-ENDLIST\n"
        yield f"hls-{place}.m3u8", hls.encode()
        yield f"hls-{place}.mp4", hls.encode()
        key = f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{what}"\n#EXTINF:5,\n{what}\n'
        yield f"hls-key-{place}.m3u8", key.encode()
        yield f"concat-{place}.mkv", f"ffconcat version 1.0\nfile '{what}'\n".encode()
        yield f"concat-{place}.ffconcat", f"ffconcat version 1.0\nfile {what}\n".encode()
        dash = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4">'
            f'<Representation id="1" bandwidth="1"><BaseURL>{what}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        )
        yield f"dash-{place}.mpd", dash.encode()
        yield (
            f"xspf-{place}.xspf",
            (
                '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>'
                f"<track><location>{what}</location></track></trackList></playlist>"
            ).encode(),
        )
        yield f"asx-{place}.asf", f"[Reference]\r\nRef1={what}\r\n".encode()
        yield f"ram-{place}.rm", f"{what}\n".encode()


def sessions(path, url):
    """Descriptions that make one listen or call."""
    port = url.rpartition(":")[2].split("/")[0]
    yield (
        "session.sdp",
        (
            f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            f"m=video {port} RTP/AVP 96\n"
            "a=rtpmap:96 H264/90000\n"
        ).encode(),
    )
    yield "call.rtsp", f"rtsp://127.0.0.1:{port}/x\n".encode()


def references(path, url):
    """A film whose track lies in another file, in each way that QuickTime has."""
    table = tables(video_entry(b"mp4v", (96, 80)), count=5, size=4, offset=0)
    places = {
        "url": full(b"url ", url.encode() + b"\0"),
        "urn": full(b"urn ", b"x\0" + url.encode() + b"\0"),
        "file": full(b"url ", f"file://{path}".encode() + b"\0"),
        "alias": full(b"alis", _alias(path)),
        "alias-url": full(b"alis", _alias(url)),
    }
    for name, reference in places.items():
        made = track(1, table, size=(96, 80), references=reference)
        yield f"dref-{name}.mov", ftyp(b"qt  ") + movie(made) + box(b"mdat", bytes(64))
    rdrf = full(b"rdrf", b"url ", struct.pack(">I", len(url) + 1), url.encode() + b"\0")
    yield "rmra.mov", ftyp(b"qt  ") + box(b"moov", box(b"rmra", box(b"rmda", rdrf)))


def subtitles_inside(path, url):
    """Subtitles of AVI are read by a demuxer of their own: one for playlists, if it may."""
    for place, what in (("file", str(path)), ("url", url)):
        text = f"#EXTM3U\n#EXTINF:5,\n{what}\n#EXT-X-ENDLIST\n".encode()
        gab2 = b"GAB2\0" + struct.pack("<HI", 2, 4) + b"x\0\0\0" + struct.pack("<HI", 4, len(text))
        strh = b"txts" + bytes(4) + struct.pack("<10I4H", *[0] * 14)
        streams = _avi_streams(strh)
        movi = _list(b"movi", _chunk(b"01tx", gab2 + text))
        inside = streams + movi
        yield (
            f"gab2-{place}.avi",
            (b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"AVI " + inside),
        )


def sequences(path, url):
    """Names that mean more than one file, or a protocol, or an option."""
    content = path.read_bytes()
    for name in (
        "%d.mp4", "%03d.png", "a*.mp4", "pipe:0", "-i.mp4", "--json", "http:x.mp4",
        "concat:a|b.mp4", "subfile,,start,0,end,9,,:x.mp4", "data:video.mp4",
    ):  # fmt: skip
        yield f"name/{name}", content


def _alias(place):
    """A Macintosh alias record (version 2) with a path of kind 2 and 18."""
    text = str(place).encode()
    head = struct.pack(">4xHHH", 150 + 8 + len(text) * 2, 2, 0) + bytes([4]) + b"disk" + bytes(23)
    head = head.ljust(50, b"\0") + bytes([1]) + b"x" + bytes(62)
    head = head.ljust(130, b"\0") + struct.pack(">HH", 1, 1) + bytes(16)
    padded = text + b"\0" * (len(text) % 2)
    return (
        head
        + struct.pack(">HH", 2, len(text))
        + padded
        + struct.pack(">HH", 18, len(text))
        + padded
        + struct.pack(">HH", 0xFFFF, 0)
    )


def _avi_streams(second):
    avih = struct.pack("<14I", 41666, 0, 0, 0, 10, 0, 2, 0, 64, 48, 0, 0, 0, 0)
    strh = b"vids" + b"FMP4" + struct.pack("<10I4H", 0, 0, 0, 1, 25, 0, 10, *[0] * 7)
    strf = struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"FMP4", 0, 0, 0, 0, 0)
    one = _list(b"strl", _chunk(b"strh", strh), _chunk(b"strf", strf))
    two = _list(b"strl", _chunk(b"strh", second), _chunk(b"strf", b""))
    return _list(b"hdrl", _chunk(b"avih", avih), one, two)


def _chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(name, *parts):
    return _chunk(b"LIST", name + b"".join(parts))


LURES = (playlists, sessions, references, subtitles_inside, sequences)

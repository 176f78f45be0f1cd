"""Text subtitles: what one packet says, and how another format says it.

In between, text is plain but for the tags ``<i>``, ``<b>`` and ``<u>``; everything else that
formats know (colours, places, karaoke) is left out.
"""

from __future__ import annotations

import html
import re

from remote_runner.video.payload import mov_text_as_subrip

#: Formats of text subtitles that are read here.
READ = frozenset({"subrip", "srt", "text", "ass", "ssa", "webvtt", "mov_text"})

_TAG = re.compile(r"<(/?)([a-zA-Z]+)[^<>]*>|<[\d:.]+>")
_KEPT = {"i", "b", "u"}
_ASS_FIELDS = 8
"""Before the text: ReadOrder, Layer, Style, Name, three margins, Effect (Matroska's ASS)."""
_ASS_CODE = re.compile(r"\{[^{}]*\}")
#: Many players read these of ASS in other formats as well, and the rest show them.
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")
_BLANK = re.compile(r"\n\s*\n+")


def read_text(codec: str, data: bytes) -> str:
    """The text of a packet; empty where it holds none."""
    if codec == "mov_text":
        text = mov_text_as_subrip(data).decode("utf-8", "replace")
    else:
        text = data.decode("utf-8", "replace")
    text = text.replace("\r\n", "\n").strip("\0\n ")
    if codec in ("ass", "ssa"):
        text = _without_ass(text)
    elif codec != "mov_text":
        text = _with_plain_tags(text)
    if codec == "webvtt":
        text = html.unescape(text)
    return _OVERRIDE.sub("", text).strip()


def write_text(codec: str, text: str) -> bytes:
    """A packet that holds a text, in ``mov_text``, ``subrip`` or ``webvtt``."""
    if codec == "mov_text":
        data = _TAG.sub("", text).encode()[:0xFFFF]
        return len(data).to_bytes(2, "big") + data
    if codec == "webvtt":
        escaped = html.escape(_BLANK.sub("\n", text), quote=False)
        return re.sub(r"&lt;(/?[ibu])&gt;", r"<\1>", escaped).encode()
    return text.encode()


def _with_plain_tags(text: str) -> str:
    def plain(tag: re.Match[str]) -> str:
        name = (tag[2] or "").lower()
        return f"<{tag[1]}{name}>" if name in _KEPT else ""

    return _TAG.sub(plain, text)


def _without_ass(text: str) -> str:
    words = text.split(",", _ASS_FIELDS)
    said = words[_ASS_FIELDS] if len(words) > _ASS_FIELDS else ""
    said = _ASS_CODE.sub("", said)
    return said.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").strip()

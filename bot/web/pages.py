"""HTML of the pages. Everything foreign is escaped; there are no scripts inside of it."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template

from bot.texts import Texts, Tongue
from controller.records import VIDEO_SUFFIXES
from controller.settings import Settings

STATIC = Path(__file__).parent / "static"

#: Texts of the upload page, with what its script puts into each.
_TEXTS: dict[str, tuple[str, ...]] = {
    "web-progress": ("done", "total", "percent"),
    "web-speed": ("speed", "left"),
    "web-paused": (),
    "web-waiting": (),
    "web-looking": (),
    "web-resume": ("name", "percent"),
    "web-other": ("name", "percent", "other"),
    "web-keep": (),
    "web-replace": (),
    "web-changed": ("name", "percent"),
    "web-same": (),
    "web-anew": (),
    "web-not-video": ("name",),
    "web-empty": ("name",),
    "web-too-large": ("name", "limit"),
    "web-failed": (),
    "web-gone": (),
    "web-unreadable": (),
    "size-bytes": ("value",),
    "size-kb": ("value",),
    "size-mb": ("value",),
    "size-gb": ("value",),
    "percent": ("value",),
    "duration-s": ("s",),
    "duration-m-s": ("m", "s"),
    "duration-m": ("m",),
    "duration-h-m": ("h", "m"),
}
_LABELS = (
    "title", "lead", "choose", "drop", "pause", "continue", "another", "keep", "replace",
    "retry", "done-title", "done-text", "keep-open", "bar",
)  # fmt: skip


def draw_upload_page(tongue: Tongue, settings: Settings) -> str:
    """The page itself; its script asks for everything that changes."""
    facts = {
        "language": tongue.language,
        "suffixes": sorted(VIDEO_SUFFIXES),
        "limit": settings.max_input_bytes,
        "texts": {
            key: tongue(key, **{name: f"{{{name}}}" for name in names})
            for key, names in _TEXTS.items()
        },
    }
    size = tongue.size(settings.max_input_bytes).replace(" ", "\u00a0")
    labels = {name.replace("-", "_"): html.escape(tongue(f"web-{name}")) for name in _LABELS}
    return Template((STATIC / "upload.html").read_text("utf-8")).substitute(
        labels,
        language=tongue.language,
        limit=html.escape(tongue("web-limit", size=size)),
        accept=",".join(["video/*", *sorted(VIDEO_SUFFIXES)]),
        # inside of a script element only this could end it
        facts=json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"),
    )


def draw_notice(texts: Texts, key: str, *, prefix: str) -> str:
    """A page with a few words, in both languages. ``prefix`` leads to its style sheet."""
    parts = "".join(
        f'<section lang="{tongue.language}"><h1>{html.escape(tongue(f"{key}-title"))}</h1>'
        f"<p>{html.escape(tongue(f'{key}-text'))}</p></section>"
        for tongue in (texts["ru"], texts["en"])
    )
    return Template((STATIC / "notice.html").read_text("utf-8")).substitute(
        title=html.escape(texts["en"](f"{key}-title")), parts=parts, prefix=prefix
    )

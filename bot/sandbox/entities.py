"""Formatted text: Telegram's HTML, entities, their UTF-16 bounds, trimming.

Rules and error texts follow core.telegram.org/bots/api#formatting-options and TDLib's
``MessageEntity.cpp``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bot.sandbox.chats import Json
from bot.sandbox.errors import bad_request

SAME = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline",
    "ins": "underline", "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough",
    "tg-spoiler": "spoiler", "code": "code", "pre": "pre",
}  # fmt: skip
TAGS = frozenset({*SAME, "a", "span", "tg-emoji", "blockquote", "tg-time"})
ENTITY_TYPES = frozenset(
    {*SAME.values(), "blockquote", "expandable_blockquote", "text_link", "text_mention"}
    | {"custom_emoji", "date_time"}
)
FIELDS = ("url", "user", "language", "custom_emoji_id", "unix_time", "date_time_format")
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
START_TAG = re.compile(rf"<([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z-]+(?:\s*=\s*{_VALUE})?)*)\s*/?>")
END_TAG = re.compile(r"</([a-zA-Z][a-zA-Z0-9-]*)?\s*>")
ATTRIBUTE = re.compile(rf"([a-zA-Z-]+)(?:\s*=\s*({_VALUE}))?")
DATE_TIME_FORMAT = re.compile(r"r|w?[dD]?[tT]?")
DETECTED = {
    "bot_command": re.compile(r"(?<![\w/:.])/[A-Za-z0-9_]{1,32}(?:@\w{3,32})?"),
    "mention": re.compile(r"(?<!\w)@[A-Za-z]\w{3,31}"),
    "url": re.compile(r"https?://[^\s<>\"]+"),
}


@dataclass(frozen=True, slots=True)
class FormattedText:
    """``entities`` have offsets and lengths in UTF-16 code units."""

    text: str
    entities: list[Json]

    def to_json(self, text_key: str, entities_key: str) -> Json:
        content: Json = {text_key: self.text} if self.text else {}
        return content | ({entities_key: self.entities} if self.entities else {})


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def format_text(text: str, parse_mode: str | None, entities: list[Any] | None) -> FormattedText:
    """The text as it will be shown; a parse mode wins over entities, as on Telegram.

    Raises:
        ApiError: markup that does not parse, entities outside the text.
    """
    mode = (parse_mode or "").lower()
    if mode == "html":
        formatted = parse_html(text)
    elif mode in {"markdown", "markdownv2"}:
        raise bad_request(f"the sandbox does not parse {parse_mode}; use HTML or entities")
    elif mode:
        raise bad_request("unsupported parse_mode")
    else:
        formatted = FormattedText(text, check_entities(text, entities or []))
    return _trim(formatted)


def detect_entities(text: str) -> list[Json]:
    """What an app marks in a text that a person typed: commands, mentions, links."""
    found = [
        {
            "type": kind,
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match[0]),
        }
        for kind, pattern in DETECTED.items()
        for match in pattern.finditer(text)
    ]
    return sorted(found, key=lambda entity: int(str(entity["offset"])))


def check_entities(text: str, entities: list[Any]) -> list[Json]:
    """Entities of known types inside the text, sorted; unknown and unusable ones are dropped.

    Raises:
        ApiError: an entity that begins or ends outside the text or inside a surrogate pair.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    checked = [_check_bounds(entity, units) for entity in entities]
    usable = [entity for entity in checked if _is_usable(entity)]
    return sorted(usable, key=lambda entity: (entity["offset"], -entity["length"]))


def _check_bounds(entity: Any, units: bytes) -> Json:
    if not isinstance(entity, dict):
        raise bad_request("can't parse MessageEntity: Object expected")
    offset, length, total = entity.get("offset"), entity.get("length"), len(units) // 2
    if not isinstance(offset, int) or offset < 0:
        raise bad_request(f"receive an entity with incorrect offset {offset}")
    if not isinstance(length, int) or length < 0:
        raise bad_request(f"receive an entity with incorrect length {length}")
    if offset > total:
        raise bad_request(f"entity begins after the end of the text at UTF-16 offset {offset}")
    if offset + length > total:
        raise bad_request(
            f"entity beginning at UTF-16 offset {offset} ends after the end of the text "
            f"at UTF-16 offset {offset + length}"
        )
    for place, at in (("begins", offset), ("ends", offset + length)):
        if at < total and 0xDC <= units[2 * at + 1] <= 0xDF:
            raise bad_request(f"entity {place} in a middle of a UTF-16 symbol at offset {at}")
    more = {key: entity[key] for key in FIELDS if entity.get(key) is not None}
    return {"type": entity.get("type"), "offset": offset, "length": length, **more}


def _is_usable(entity: Json) -> bool:
    if entity["length"] == 0 or entity["type"] not in ENTITY_TYPES:
        return False
    if entity["type"] == "text_link":
        return url_error(entity.get("url", "")) is None
    if entity["type"] == "date_time":
        valid_format = DATE_TIME_FORMAT.fullmatch(entity.get("date_time_format", ""))
        return isinstance(entity.get("unix_time"), int) and valid_format is not None
    return True


def url_error(url: str) -> str | None:
    """Why TDLib would not take this link, or None (``LinkManager::check_link``)."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host = parts.hostname or ""
    except ValueError:
        return "Wrong HTTP URL"
    if parts.scheme == "tg":
        return None
    if parts.scheme not in {"http", "https"}:
        return "Unsupported URL protocol"
    return None if "." in host or ":" in host else "Wrong HTTP URL"


@dataclass(slots=True)
class _OpenTag:
    name: str
    entity: Json
    offset: int


def parse_html(source: str) -> FormattedText:
    """Telegram's HTML to text and entities.

    Raises:
        ApiError: "can't parse entities: …" with the place in bytes of UTF-8, as Telegram
            counts it.
    """
    text: list[str] = []
    entities: list[Json] = []
    stack: list[_OpenTag] = []
    offset = position = 0
    while position < len(source):
        tag_at = source.find("<", position)
        plain = html_unescape(source[position : tag_at if tag_at >= 0 else len(source)])
        text.append(plain)
        offset += utf16_length(plain)
        if tag_at < 0:
            break
        if source.startswith("</", tag_at):
            match = _match(END_TAG, source, tag_at, "end")
            entity = _close(stack, match, _bytes_before(source, tag_at))
            entity |= {"offset": entity["offset"], "length": offset - entity["offset"]}
            entities.append(entity)
        else:
            match = _match(START_TAG, source, tag_at, "start")
            stack.append(_open(match, offset, _bytes_before(source, tag_at)))
        position = match.end()
    if stack:
        raise _parse_error(f'Can\'t find end tag corresponding to start tag "{stack[-1].name}"')
    shown = "".join(text)
    return FormattedText(shown, check_entities(shown, _merge_code(entities)))


def html_unescape(text: str) -> str:
    """Only the named entities that Telegram knows, and all numeric ones."""
    return re.sub(
        r"&(?:lt|gt|amp|quot|#\d+|#[xX][0-9a-fA-F]+);", lambda m: html.unescape(m[0]), text
    )


def _match(pattern: re.Pattern[str], source: str, at: int, what: str) -> re.Match[str]:
    match = pattern.match(source, at)
    if match is not None:
        return match
    place = _bytes_before(source, at)
    name = re.match(r"</?([^\s/>]*)", source[at:])
    if what == "start" and (name is None or name[1].lower() not in TAGS):
        raise _parse_error(
            f'Unsupported start tag "{name[1] if name else ""}" at byte offset {place}'
        )
    raise _parse_error(f"Unclosed {what} tag at byte offset {place}")


def _open(match: re.Match[str], offset: int, place: int) -> _OpenTag:
    name = match[1].lower()
    if name not in TAGS:
        raise _parse_error(f'Unsupported start tag "{name}" at byte offset {place}')
    attributes = {
        found[1].lower(): html_unescape((found[2] or "").strip("\"'"))
        for found in ATTRIBUTE.finditer(match[2])
    }
    entity = _entity_of(name, attributes, place)
    return _OpenTag(name, {**entity, "offset": offset}, offset)


def _entity_of(name: str, attributes: dict[str, str], place: int) -> Json:
    if name == "a":
        return {"type": "text_link", "url": attributes.get("href", "")}
    if name == "span":
        if attributes.get("class") != "tg-spoiler":
            raise _parse_error(f'Tag "span" must have class "tg-spoiler" at byte offset {place}')
        return {"type": "spoiler"}
    if name == "tg-emoji":
        return {"type": "custom_emoji", "custom_emoji_id": attributes.get("emoji-id", "")}
    if name == "blockquote":
        return {"type": "expandable_blockquote" if "expandable" in attributes else "blockquote"}
    if name == "tg-time":
        unix = attributes.get("unix", "")
        if not re.fullmatch(r"-?\d{1,12}", unix):
            raise _parse_error(f'Tag "tg-time" must have attribute "unix" at byte offset {place}')
        shape = {"date_time_format": attributes["format"]} if "format" in attributes else {}
        return {"type": "date_time", "unix_time": int(unix), **shape}
    language = attributes.get("class", "").removeprefix("language-") if name == "code" else ""
    return {"type": SAME[name], **({"language": language} if language else {})}


def _close(stack: list[_OpenTag], match: re.Match[str], place: int) -> Json:
    if not stack:
        raise _parse_error(f"Unexpected end tag at byte offset {place}")
    opened = stack.pop()
    name = (match[1] or opened.name).lower()
    if name != opened.name:
        raise _parse_error(
            f"Unmatched end tag at byte offset {place}, "
            f'expected "</{opened.name}>", found "</{name}>"'
        )
    return opened.entity


def _merge_code(entities: list[Json]) -> list[Json]:
    """``<pre><code class="language-x">`` is one entity with a language."""
    merged: list[Json] = []
    for entity in entities:
        span = (entity["offset"], entity["length"])
        twin = next((e for e in merged if (e["offset"], e["length"]) == span), None)
        if twin is not None and entity["type"] == "pre" and twin["type"] == "code":
            twin["type"] = "pre"
        else:
            merged.append(entity)
    for entity in merged:
        if entity["type"] == "code":
            entity.pop("language", None)
    return merged


def _bytes_before(source: str, at: int) -> int:
    return len(source[:at].encode())


def _parse_error(text: str) -> Exception:
    return bad_request(f"can't parse entities: {text}")


def _trim(formatted: FormattedText) -> FormattedText:
    text = formatted.text.strip()
    dropped = utf16_length(formatted.text) - utf16_length(formatted.text.lstrip())
    total = utf16_length(text)
    entities: list[Json] = []
    for entity in formatted.entities:
        start = max(0, entity["offset"] - dropped)
        end = min(total, entity["offset"] + entity["length"] - dropped)
        if end > start:
            entities.append({**entity, "offset": start, "length": end - start})
    return FormattedText(text, entities)

from __future__ import annotations

from typing import Any

import pytest
from aiogram.types import MessageEntity
from aiogram.utils.formatting import Bold, Code, DateTime, Pre, Text, TextLink
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.entities import detect_entities, format_text, parse_html, url_error
from bot.sandbox.errors import ApiError


def shapes(entities: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(entity["type"], entity["offset"], entity["length"]) for entity in entities]


def test_tags_become_entities_in_utf16_units() -> None:
    parsed = parse_html("🎬 <i>a<b>б🎬</b></i> &lt;x&gt; &amp; &#33; &nbsp;<s></s>")
    assert parsed.text == "🎬 aб🎬 <x> & ! &nbsp;"
    assert shapes(parsed.entities) == [("italic", 3, 4), ("bold", 4, 3)]


def test_tags_with_attributes_keep_what_belongs_to_them() -> None:
    parsed = parse_html(
        '<a href="https://example.org/?a=1&amp;b=2">l</a><pre><code class="language-py">p</code>'
        '</pre><span class="tg-spoiler">s</span><blockquote expandable>q</blockquote>'
        '<tg-time unix="1700000000" format="r">soon</tg-time><tg-emoji emoji-id="5">e</tg-emoji>'
    )
    assert [entity["type"] for entity in parsed.entities] == [
        "text_link",
        "pre",
        "spoiler",
        "expandable_blockquote",
        "date_time",
        "custom_emoji",
    ]
    link, pre, _, _, date, emoji = parsed.entities
    assert link["url"] == "https://example.org/?a=1&b=2"
    assert pre["language"] == "py"
    assert (date["unix_time"], date["date_time_format"]) == (1700000000, "r")
    assert emoji["custom_emoji_id"] == "5"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a < b", 'Unsupported start tag "" at byte offset 2'),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("я<b", "Unclosed start tag at byte offset 2"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<script>x</script>", 'Unsupported start tag "script" at byte offset 0'),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("<tg-time>x</tg-time>", 'Tag "tg-time" must have attribute "unix" at byte offset 0'),
        ("<i>x", 'Can\'t find end tag corresponding to start tag "i"'),
    ],
)
def test_markup_that_does_not_parse_is_refused_with_its_place(source: str, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_html(source)
    assert caught.value.description == f"Bad Request: can't parse entities: {text}"


def test_blank_edges_are_cut_and_entities_move_along() -> None:
    bold = {"type": "bold", "offset": 0, "length": 7}
    formatted = format_text("\n\n ab \n", None, [bold])
    assert formatted.text == "ab"
    assert shapes(formatted.entities) == [("bold", 0, 2)]


def test_unknown_entities_and_links_to_nowhere_are_dropped() -> None:
    entities = [
        {"type": "url", "offset": 0, "length": 1},
        {"type": "text_link", "offset": 0, "length": 1, "url": "http://localhost/x"},
        {"type": "date_time", "offset": 0, "length": 1, "unix_time": 1, "date_time_format": "?"},
        {"type": "code", "offset": 0, "length": 1},
    ]
    assert shapes(format_text("xy", None, entities).entities) == [("code", 0, 1)]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://example.org/a?b=c", None),
        ("example.org", None),
        ("tg://user?id=1", None),
        ("http://127.0.0.1:8080/x", None),
        ("http://[::1]/x", None),
        ("http://localhost/x", "Wrong HTTP URL"),
        ("ftp://example.org", "Unsupported URL protocol"),
        ("javascript://example.org", "Unsupported URL protocol"),
        ("http://[broken", "Wrong HTTP URL"),
        ("", "Wrong HTTP URL"),
    ],
)
def test_links_are_those_that_telegram_takes(url: str, error: str | None) -> None:
    assert url_error(url) == error


def test_typed_text_is_marked_as_an_app_marks_it() -> None:
    text = "🎬 /start@some_bot see https://example.org/x and @friend a/b"
    found = detect_entities(text)
    assert [entity["type"] for entity in found] == ["bot_command", "url", "mention"]
    units = text.encode("utf-16-le")
    first = found[0]
    cut = units[2 * first["offset"] : 2 * (first["offset"] + first["length"])]
    assert cut.decode("utf-16-le") == "/start@some_bot"


def test_html_of_aiogram_comes_back_as_the_same_entities() -> None:
    node = Text(
        Bold('<b>evil</b> & "x"'),
        " ",
        Code("a<b"),
        " ",
        Pre("x = 1"),
        TextLink("link", url="https://example.org/?q=1&r=<2>"),
        " ",
        DateTime("soon", unix_time=1700000000, date_time_format="r"),
    )
    text, entities = node.render()
    parsed = parse_html(node.as_html())
    assert parsed.text == text
    expected = [entity.model_dump(exclude_none=True) for entity in entities]
    assert parsed.entities == expected


@given(st.text(max_size=60))
def test_any_text_as_html_parses_or_is_refused_properly(source: str) -> None:
    try:
        parsed = parse_html(source)
    except ApiError as error:
        assert error.code == 400
        return
    for entity in parsed.entities:
        MessageEntity.model_validate(entity)

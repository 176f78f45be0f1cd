"""What the bot says: Fluent messages per language, and how numbers and names are put into them."""

from __future__ import annotations

import functools
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from babel.numbers import format_decimal
from fluent.runtime import FluentBundle, FluentResource

if TYPE_CHECKING:
    from aiogram.utils.formatting import Text

LOCALES = Path(__file__).parent / "locales"
LANGUAGES = ("en", "ru")

#: Speakers of these read Russian better than English.
_READ_RUSSIAN = frozenset({"ru", "uk", "be", "kk"})
_MARK = re.compile("\ue000(\\d+)\ue001")
_JOINER = "\u200d"
_BAR_CELLS = 12
_LEAST_USD = 0.001


class Tongue:
    """One language: ``tongue("key", name=value)`` is a text, :meth:`rich` a formatted one."""

    def __init__(self, language: str, source: str) -> None:
        self.language = language
        self._bundle = FluentBundle([language], use_isolating=False)
        self._bundle.add_resource(FluentResource(source))

    def __call__(self, key: str, **values: str | int | float) -> str:
        """A message filled with values; :class:`LookupError` for a missing key or variable."""
        pattern = self._bundle.get_message(key).value
        if pattern is None:
            raise LookupError(f"{key} has no text in {self.language}")
        text, errors = self._bundle.format_pattern(pattern, values)
        if errors:
            raise LookupError(f"{key} in {self.language}: {errors[0]}")
        return str(text)

    def has(self, key: str) -> bool:
        return bool(self._bundle.has_message(key))

    def rich(self, key: str, **values: str | int | float | Text) -> Text:
        """Like calling, but values may be formatting nodes, which keep their formatting."""
        # takes seconds to import, and the terminal needs none of it
        from aiogram.utils.formatting import Text  # noqa: PLC0415

        nodes: list[Text] = []
        plain: dict[str, str | int | float] = {}
        for name, value in values.items():
            if isinstance(value, Text):
                plain[name] = f"\ue000{len(nodes)}\ue001"
                nodes.append(value)
            else:
                plain[name] = value
        parts = _MARK.split(self(key, **plain))
        return Text(*(nodes[int(part)] if odd else part for odd, part in _alternate(parts)))

    def number(self, value: float, digits: int = 1) -> str:
        """``12.5`` or ``12,5``, without trailing zeros."""
        pattern = "#,##0." + "#" * digits if digits else "#,##0"
        return format_decimal(value, pattern, locale=self.language)

    def duration(self, seconds: float) -> str:
        """``2 min 5 s``: the two largest units, whole seconds, at least one second."""
        whole = max(1, round(seconds))
        hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
        if hours:
            minutes = round(whole % 3600 / 60)
            hours, minutes = (hours + 1, 0) if minutes == 60 else (hours, minutes)
            return (
                self("duration-h-m", h=hours, m=minutes)
                if minutes
                else self("duration-h", h=hours)
            )
        if minutes:
            return (
                self("duration-m-s", m=minutes, s=rest) if rest else self("duration-m", m=minutes)
            )
        return self("duration-s", s=rest)

    def size(self, count: int) -> str:
        """Bytes in decimal units, as file managers of phones show them."""
        for key, unit in (("size-gb", 1e9), ("size-mb", 1e6), ("size-kb", 1e3)):
            # what would be rounded up to 1000 of a unit is one of the next
            if round(count / unit * 1000, 1) >= 1000:
                return self(key, value=self.number(count / unit))
        return self("size-bytes", value=self.number(count, 0))

    def money(self, usd: float) -> str:
        """Dollars: cents, and under ten cents, where it matters, a third digit; never nothing for
        what is something."""
        if 0 < usd < _LEAST_USD:
            least = format_decimal(_LEAST_USD, "0.000", locale=self.language)
            return self("money-least", value=least)
        pattern = "#,##0.00" if usd >= 0.1 else "#,##0.00#"
        return self("money", value=format_decimal(usd, pattern, locale=self.language))

    def fps(self, rate: float) -> str:
        return self("fps", value=self.number(rate, 2))

    def percent(self, share: float) -> str:
        return self("percent", value=int(100 * min(1.0, max(0.0, share))))

    def bar(self, share: float) -> str:
        """Twelve cells and the percentage; full only when it is."""
        filled = int(_BAR_CELLS * min(1.0, max(0.0, share)))
        return f"{'▰' * filled}{'▱' * (_BAR_CELLS - filled)} {self.percent(share)}"


class Texts:
    """All languages: ``texts["ru"]`` is a :class:`Tongue`, unknown ones fall back to English."""

    def __init__(self) -> None:
        self._tongues = {language: _load_tongue(language) for language in LANGUAGES}

    def __getitem__(self, language: str) -> Tongue:
        return self._tongues.get(language, self._tongues["en"])

    def pick(self, language_code: str | None, preference: str | None = None) -> Tongue:
        """The user's own choice, else by the language of their client."""
        if preference in self._tongues:
            return self._tongues[preference]
        primary = (language_code or "").lower().replace("_", "-").partition("-")[0]
        return self["ru" if primary in _READ_RUSSIAN else primary]


@functools.cache
def _load_tongue(language: str) -> Tongue:
    """Reading takes a tenth of a second, and the texts of a process never change."""
    return Tongue(language, _read_sources(LOCALES / language))


def _read_sources(folder: Path) -> str:
    """All messages of a language: a file for each subject."""
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.ftl")))


def clean_name(name: str, limit: int = 60) -> str:
    """Foreign text for showing: one line, no control, bidi or private characters, shortened.

    The joiner stays, as many emoji need it.
    """
    tidy = " ".join("".join(map(_clean, name)).split()).strip(_JOINER + " ")
    if not tidy:
        return "…"
    return tidy if len(tidy) <= limit else tidy[: limit - 1].rstrip() + "…"


def _clean(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cc" or category[0] == "Z":
        return " "
    return "" if category[0] == "C" and char != _JOINER else char


def _alternate(parts: list[str]) -> list[tuple[int, str]]:
    """Parts of a split, each with whether it is a captured group; empty ones left out."""
    return [(index % 2, part) for index, part in enumerate(parts) if part]

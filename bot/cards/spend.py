"""/spend: what was spent, as text and as a chart that can be read on a phone."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Text, as_list
from babel.dates import format_date

from bot.cards.admin_callbacks import SpendPress
from bot.cards.view import View
from bot.texts import Tongue, clean_name
from controller.records import DaySpend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPANS = (7, 14, 30)
_PEOPLE_SHOWN = 10
_SHOWN_USD = 0.0005
#: Of a caption, in UTF-16 units (Bot API: sendPhoto).
_CAPTION_LENGTH = 1024
_BAR, _TODAY, _INK, _GRID = "#4c8bd6", "#1f5aa6", "#1a1a1a", "#dddddd"
_LABELS = 8
"""So many days are named below the bars, so many amounts are written above them at most."""
#: What matplotlib keeps for all figures, its fonts for instance, is not made for threads.
_DRAWING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSpend:
    """What one person's jobs have cost."""

    name: str
    usd: float
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendReport:
    """All that the message says."""

    days: Sequence[DaySpend]
    """What the chart shows, the oldest first."""
    today_usd: float
    week_usd: float
    month_usd: float
    people: Sequence[PersonSpend] = ()
    """Within the days of the chart."""
    house_usd: float = 0.0
    """What machines cost in these days while they worked for nobody."""


def draw_spend(report: SpendReport, tongue: Tongue) -> View:
    """The caption of the chart, with buttons for its length."""
    span = len(report.days)
    lines: list[Text | str] = [
        Bold(tongue("spend-title")),
        tongue("spend-today", money=tongue.money(report.today_usd)),
        tongue("spend-week", money=tongue.money(report.week_usd)),
        tongue("spend-month", money=tongue.money(report.month_usd)),
        tongue("spend-days"),
    ]
    if report.people or report.house_usd >= _SHOWN_USD:
        lines += ["", Bold(tongue("spend-people", days=tongue("days", count=span)))]
        lines += _choose_fitting(report, _CAPTION_LENGTH - 1 - len(as_list(*lines)), tongue)
    buttons = [
        InlineKeyboardButton(
            text=tongue("button-chosen", label=label) if days == span else label,
            callback_data=SpendPress(days=days).pack(),
        )
        for days in SPANS
        for label in (tongue("days", count=days),)
    ]
    return View(as_list(*lines), InlineKeyboardMarkup(inline_keyboard=[buttons]))


def draw_chart(days: Sequence[DaySpend], tongue: Tongue) -> bytes:
    """A bar a day as a PNG, 1080×810. Takes a second or two: to be called in a thread."""
    # takes seconds to import, and only this needs it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    with _DRAWING:
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)
        figure = Figure(figsize=(7.2, 5.4), dpi=150, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        spent = [day.usd for day in days]
        colours = [_BAR] * (len(days) - 1) + [_TODAY]
        axes.bar(range(len(days)), spent, color=colours, width=0.72, zorder=2)
        title = tongue("spend-chart", days=tongue("days", count=len(days)))
        total = tongue.money(sum(spent))
        axes.set_title(_plain(f"{title}: {total}"), fontsize=17, color=_INK, loc="left", pad=14)
        _dress(axes, days, tongue)
        if len(days) <= _LABELS:
            _write_amounts(axes, spent, tongue)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
    return picture.getvalue()


def _dress(axes: Axes, days: Sequence[DaySpend], tongue: Tongue) -> None:
    """Names of days below, dollars at the side, thin lines across."""
    top = max((day.usd for day in days), default=0.0)
    axes.set_ylim(0, top * 1.15 if top > 0 else 1.0)
    # counted from today, which is always named
    step = -(-len(days) // _LABELS)
    shown = sorted(range(len(days) - 1, -1, -step))
    pattern = tongue("spend-date")
    names = [format_date(days[at].date, pattern, tongue.language) for at in shown]
    axes.set_xticks(shown, names)
    axes.yaxis.set_major_formatter(lambda usd, _: _plain(tongue.money(usd)))
    axes.tick_params(labelsize=13, colors=_INK, length=0)
    axes.grid(axis="y", color=_GRID, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _write_amounts(axes: Axes, spent: Sequence[float], tongue: Tongue) -> None:
    for at, usd in enumerate(spent):
        if usd > 0:
            label = _plain(tongue.money(usd))
            axes.text(at, usd + max(spent) * 0.02, label, ha="center", fontsize=12, color=_INK)


def _plain(text: str) -> str:
    """Two dollar signs would be taken for a formula."""
    return text.replace("$", r"\$")


def _choose_fitting(report: SpendReport, room: int, tongue: Tongue) -> list[str]:
    """A line a person, the dearest first, and what is left over."""
    lines = [
        tongue(
            "spend-person",
            name=clean_name(each.name, 30),
            money=tongue.money(each.usd),
            jobs=tongue("jobs", count=each.jobs),
        )
        for each in report.people[:_PEOPLE_SHOWN]
    ]
    if report.house_usd >= _SHOWN_USD:
        lines.append(tongue("spend-house", money=tongue.money(report.house_usd)))
    chosen = []
    for line in lines:
        if (cost := 1 + len(Text(line))) <= room:
            chosen.append(line)
            room -= cost
    return chosen

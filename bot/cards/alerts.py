"""The one card that tells an admin what is wrong with the deployment, and that it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, DateTime, Text, as_list

from bot.alarm_texts import advise, describe_alarm, format_time
from bot.cards.admin_callbacks import AlertAct, AlertPress, LogPress
from bot.cards.keyboards import make_keyboard
from bot.cards.view import View
from bot.texts import Tongue
from controller.alarms import Alarm, find_last_episode, list_standing
from controller.alerts import AlertKind, Severity

_MARKS = {Severity.WARNING: "⚠️", Severity.CRITICAL: "🚨"}
#: Where one can do something about it.
_PAGES: dict[AlertKind, AlertAct] = {
    AlertKind.EXPIRED: AlertAct.MACHINES,
    AlertKind.DESTROY: AlertAct.MACHINES,
    AlertKind.STRANGERS: AlertAct.MACHINES,
    AlertKind.LISTING: AlertAct.MACHINES,
    AlertKind.CREDIT: AlertAct.SPEND,
    AlertKind.BUDGET: AlertAct.SPEND,
    AlertKind.OVERDUE: AlertAct.QUEUE,
}
_LABELS = {
    AlertAct.MACHINES: "command-machines",
    AlertAct.SPEND: "command-spend",
    AlertAct.QUEUE: "command-queue",
    AlertAct.HEALTH: "command-health",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsSnapshot:
    """Everything that the card shows."""

    alarms: Sequence[Alarm]
    """Also those that are over."""
    rents: bool
    """Whether machines are rented, so that there is a page of spending."""


def draw_alerts(shot: AlertsSnapshot, tongue: Tongue) -> View:
    """A block for each trouble; what it was and how long it took, once all is well."""
    standing = list_standing(shot.alarms)
    if not standing:
        return _draw_mended(shot.alarms, tongue)
    worst = max((each.severity for each in standing), key=lambda each: each.rank)
    lines: list[Text | str] = [
        Bold(f"{_MARKS[worst]} {tongue('alerts-title', count=len(standing))}")
    ]
    for alarm in standing:
        lines += ["", *_draw_alarm(alarm, tongue)]
    return View(as_list(*lines), _draw_keyboard(standing, shot.rents, tongue))


def _draw_alarm(alarm: Alarm, tongue: Tongue) -> list[Text | str]:
    head = Bold(f"{_MARKS[alarm.severity]} {describe_alarm(alarm, tongue)}")
    since = tongue.rich("alert-since", when=_show_time(alarm.since))
    return [head, since, advise(alarm, tongue)]


def _draw_mended(alarms: Sequence[Alarm], tongue: Tongue) -> View:
    episode = find_last_episode(alarms)
    lines: list[Text | str] = [Bold(tongue("alerts-well"))]
    for alarm in episode:
        took_s = (alarm.ended_at or alarm.since) - alarm.since
        lines.append(
            tongue(
                "alert-mended",
                what=describe_alarm(alarm, tongue),
                time=tongue.duration(max(0.0, took_s)),
            )
        )
    return View(as_list(*lines))


def _draw_keyboard(
    standing: Sequence[Alarm], rents: bool, tongue: Tongue
) -> InlineKeyboardMarkup | None:
    pages = [_PAGES[each.kind] for each in standing if each.kind in _PAGES]
    acts = [*dict.fromkeys(pages), AlertAct.HEALTH]
    buttons = [
        InlineKeyboardButton(text=tongue(_LABELS[act]), callback_data=AlertPress(act=act).pack())
        for act in acts
        if rents or act is not AlertAct.SPEND
    ]
    for job in dict.fromkeys(str(each.figures.get("job", "")) for each in standing):
        if job:
            log = tongue("alert-log", id=job[-6:].lower())
            data = LogPress(job=job).pack()
            buttons.append(InlineKeyboardButton(text=log, callback_data=data))
    return make_keyboard(*(buttons[at : at + 2] for at in range(0, len(buttons), 2)))


def _show_time(at: float) -> DateTime:
    """A time that clients show as relative; the words beside it stay, so that no edit is due."""
    return DateTime(f"{format_time(at, '%H:%M')} UTC", unix_time=int(at), date_time_format="r")

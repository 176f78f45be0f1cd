"""/health: whether the parts of the deployment work, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Text, as_list

from bot.alarm_texts import describe_alarm
from bot.cards.admin_callbacks import HealthPress
from bot.cards.view import View
from bot.cards.wording import show_moment
from bot.texts import Tongue
from controller.alarms import Alarm
from controller.alerts import AlertKind

#: By alarm: the problem that it is.
_TOLD_AS = {
    AlertKind.LOOP: "loop",
    AlertKind.LISTING: "listing",
    AlertKind.DATABASE: "database",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found at ``now``; ages are seconds, None where that does not run."""

    now: float
    alarms: Sequence[Alarm] = ()
    """What is wrong, as the admins are told of it."""
    problems: Sequence[str] = ()
    """As ``/healthz`` names them: ``loops``, ``loop <name>``, ``listing``, ``poller`` …"""
    storage_works: bool
    rents: bool
    credit_usd: float | None = None
    """None where the rental service did not tell."""
    listing_age_s: float | None = None
    poller_age_s: float | None = None
    loop_age_s: float | None = None
    """Of the loop that has been still for longest."""
    database_bytes: int
    version: str


def draw_health(health: Health, tongue: Tongue) -> View:
    """A line a part; what does not work is named first."""
    wrong = [describe_alarm(each, tongue) for each in health.alarms]
    wrong += _list_problems(health, tongue)
    if not health.storage_works:
        wrong.append(tongue("health-no-storage"))
    if health.rents and health.credit_usd is None:
        wrong.append(tongue("health-no-provider"))
    title = tongue("health-well") if not wrong else tongue("health-ill", count=len(wrong))
    lines: list[Text | str] = [
        Bold(title),
        tongue.rich("list-looked", when=show_moment(health.now, health.now, tongue)),
        *(f"⚠️ {each}" for each in wrong),
    ]
    if health.storage_works:
        lines.append(tongue("health-storage"))
    if health.credit_usd is not None:
        lines.append(tongue("health-credit", money=tongue.money(health.credit_usd)))
    ages = (
        ("health-listing", health.listing_age_s),
        ("health-loops", health.loop_age_s),
        ("health-poller", health.poller_age_s),
    )
    lines += [tongue(key, time=tongue.duration(age)) for key, age in ages if age is not None]
    lines.append(tongue("health-database", size=tongue.size(health.database_bytes)))
    lines.append(tongue("health-version", version=health.version))
    again = InlineKeyboardButton(text=tongue("button-refresh"), callback_data=HealthPress().pack())
    return View(as_list(*lines), InlineKeyboardMarkup(inline_keyboard=[[again]]))


def _list_problems(health: Health, tongue: Tongue) -> list[str]:
    """Those that no alarm tells of already."""
    told = {_TOLD_AS.get(each.kind) for each in health.alarms}
    return [
        _describe_problem(each, tongue)
        for each in health.problems
        if each.partition(" ")[0] not in told
    ]


def _describe_problem(problem: str, tongue: Tongue) -> str:
    kind, _, name = problem.partition(" ")
    if kind == "loop":
        return tongue("health-problem-loop", name=name)
    key = f"health-problem-{kind}"
    return tongue(key) if tongue.has(key) else problem

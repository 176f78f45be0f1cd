"""What is wrong with the deployment, in words: for the chat and for the terminal alike."""

from __future__ import annotations

import datetime

from bot.texts import Tongue, clean_name
from controller.alarms import Alarm
from controller.alerts import Severity


def describe_alarm(alarm: Alarm, tongue: Tongue) -> str:
    """One line: what it is, with its figures."""
    key = f"alert-{alarm.kind}"
    if alarm.severity is Severity.CRITICAL and tongue.has(f"{key}-worse"):
        key = f"{key}-worse"
    elif alarm.figures.get("cannot") == "read":
        key = f"{key}-read"
    return tongue(key, **_fill(alarm, tongue))


def advise(alarm: Alarm, tongue: Tongue) -> str:
    """What it means, and what to do."""
    key = f"advice-{alarm.kind}"
    if "deployment" in alarm.figures:
        key = f"{key}-renamed"
    return tongue(key, **_fill(alarm, tongue))


def format_time(at: float, form: str) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime(form)


def _fill(alarm: Alarm, tongue: Tongue) -> dict[str, str | int | float]:
    """The figures as the texts take them: by what the end of a name says that it is."""
    values: dict[str, str | int | float] = {}
    for name, figure in alarm.figures.items():
        match name.rpartition("_")[2], figure:
            case "usd", int() | float():
                values[name] = tongue.money(figure)
            case "bytes", int():
                values[name] = tongue.size(figure)
            case "of", int() | float():
                values[name] = f"{format_time(figure, '%Y-%m-%d %H:%M')} UTC"
            case "reason", _:
                values[name] = tongue(f"reason-{figure}")
            case "why", _:
                values[name] = tongue(f"restored-{figure}")
            case _, str():
                values[name] = clean_name(figure)
            case _:
                values[name] = figure
    return values

"""/status as text: active jobs, and for admins everybody's with the machines."""

from __future__ import annotations

from collections.abc import Sequence

from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards import find_share
from bot.texts import Tongue, clean_name
from bot.wording import show_name, show_task
from controller.records import Job, Machine
from controller.service import Controller
from controller.states import JobState

MENU_LENGTH = 20
_SHOWN = 20
_NAME_LENGTH = 32

_MARKS = {
    JobState.DRAFT: "📝",
    JobState.HELD: "⏸",
    JobState.QUEUED: "🕓",
    JobState.RUNNING: "⚙️",
}


def draw_status(controller: Controller, jobs: Sequence[Job], tongue: Tongue) -> Text:
    """One's own active jobs, a line each."""
    if not jobs:
        return Text(tongue("status-empty"))
    lines = _list_jobs(controller, jobs, tongue, owners=False)
    return as_list(Bold(tongue("status-title")), *lines)


def draw_status_all(controller: Controller, jobs: Sequence[Job], tongue: Tongue) -> Text:
    """Everybody's active jobs with their owners' ids, and the machines."""
    title = Bold(tongue("status-title-all", count=len(jobs)))
    lines = _list_jobs(controller, jobs, tongue, owners=True)
    return as_list(title, *lines, _describe_machines(controller.machines(), tongue))


def _list_jobs(
    controller: Controller, jobs: Sequence[Job], tongue: Tongue, *, owners: bool
) -> list[Text]:
    lines = [_describe_job(controller, job, tongue, owners=owners) for job in jobs[:_SHOWN]]
    if (more := len(jobs) - _SHOWN) > 0:
        lines.append(Text(tongue("status-more", jobs=tongue("jobs", count=more))))
    return lines


def _describe_job(controller: Controller, job: Job, tongue: Tongue, *, owners: bool) -> Text:
    values: dict[str, str | Text] = {
        "mark": _MARKS.get(job.state, "•"),
        "name": show_name(job, _NAME_LENGTH),
        "what": show_task(job.task, tongue),
        "state": _describe_state(controller, job, tongue),
        "id": Code(job.short_id),
    }
    if not owners:
        return tongue.rich("status-line", **values)
    return tongue.rich("status-line-owner", owner=Code(str(job.owner)), **values)


def _describe_state(controller: Controller, job: Job, tongue: Tongue) -> str:
    if job.cancel_requested_at is not None:
        return tongue("toast-cancelling")
    if job.state is JobState.QUEUED:
        return tongue("status-queued", position=controller.queue_position(job))
    if job.state is JobState.RUNNING:
        attempt = controller.attempt(job.id)
        share = find_share(attempt.status if attempt else None)
        return tongue("status-running", percent=tongue.percent(share))
    return tongue(f"state-{job.state}")


def _describe_machines(machines: Sequence[Machine], tongue: Tongue) -> str:
    if not machines:
        return tongue("status-machines-none")
    return tongue("status-machines", list="; ".join(_describe(each, tongue) for each in machines))


def _describe(machine: Machine, tongue: Tongue) -> str:
    name = clean_name(machine.name, 30)
    state = tongue(f"machine-{machine.state}")
    if machine.usd_per_hour <= 0:
        return tongue("status-machine", name=name, state=state)
    money = tongue.money(machine.usd_per_hour)
    return tongue("status-machine-paid", name=name, state=state, money=money)

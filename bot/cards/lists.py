"""/status as text: active jobs, and for admins everybody's with the machines."""

from __future__ import annotations

from collections.abc import Sequence

from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.card import find_share
from bot.cards.wording import describe_reason, show_name, show_task
from bot.texts import Tongue, clean_name
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


def draw_status_all(
    controller: Controller, jobs: Sequence[Job], credit_usd: float | None, tongue: Tongue
) -> Text:
    """Everybody's active jobs with their owners' ids, the machines and the money.

    ``credit_usd`` is None where it is not known.
    """
    title = Bold(tongue("status-title-all", count=len(jobs)))
    lines: list[Text | str] = [*_list_jobs(controller, jobs, tongue, owners=True)]
    lines += _list_machines(controller, tongue)
    if controller.rents:
        lines.append(_describe_money(controller.spent_today_usd(), credit_usd, tongue))
    return as_list(title, *lines)


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
    if job.state is JobState.QUEUED and job.waits_for:
        return tongue("status-waits", reason=describe_reason(job.waits_for, tongue))
    if job.state is JobState.QUEUED:
        return tongue("status-queued", position=controller.queue_position(job))
    if job.state is JobState.RUNNING:
        attempt = controller.attempt(job.id)
        share = find_share(attempt.status if attempt else None)
        return tongue("status-running", percent=tongue.percent(share))
    return tongue(f"state-{job.state}")


def _list_machines(controller: Controller, tongue: Tongue) -> list[str]:
    machines = controller.machines()
    if not machines:
        return [tongue("status-machines-none")]
    lines = [tongue("status-machines", count=len(machines))]
    lines += [_describe_machine(controller, each, tongue) for each in machines[:_SHOWN]]
    if (more := len(machines) - _SHOWN) > 0:
        lines.append(tongue("status-machines-more", count=more))
    return lines


def _describe_machine(controller: Controller, machine: Machine, tongue: Tongue) -> str:
    name = clean_name(machine.name, 30)
    state = tongue(f"machine-{machine.state}")
    if machine.usd_per_hour <= 0:
        return tongue("status-machine", name=name, state=state)
    return tongue(
        "status-machine-paid",
        name=name,
        state=state,
        price=tongue.money(machine.usd_per_hour),
        money=tongue.money(controller.machine_usd(machine)),
    )


def _describe_money(spent_usd: float, credit_usd: float | None, tongue: Tongue) -> str:
    spent = tongue.money(spent_usd)
    if credit_usd is None:
        return tongue("status-money-spent", spent=spent)
    return tongue("status-money", spent=spent, credit=tongue.money(credit_usd))

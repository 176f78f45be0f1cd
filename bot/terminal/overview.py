"""``noxfvr status``: jobs, machines and money, as a table or as rows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import click

from bot.terminal.batch import show_time
from bot.terminal.console import show_plainly
from bot.terminal.rows import Item, as_item, job_row
from bot.texts import Tongue
from controller.errors import ProviderError, Unclear
from controller.records import Job, Machine
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

_CREDIT_S = 10.0
_SHOWN = 50


async def find_credit(controller: Controller) -> float | None:
    """Money left on the rental account; None where it is not known, for whatever reason."""
    try:
        async with asyncio.timeout(_CREDIT_S):
            return await controller.credit_usd()
    except (ProviderError, Unclear, TimeoutError) as error:
        log.warning("The credit is not known: %s", error or type(error).__name__)
        return None


async def show_status(controller: Controller, tongue: Tongue, *, as_json: bool) -> None:
    """Print it."""
    jobs = controller.jobs(limit=10_000 if as_json else _SHOWN)
    items = [as_item(controller, job, n, tongue) for n, job in enumerate(jobs, start=1)]
    if as_json:
        document = _make_document(controller, jobs, items)
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for job, item in zip(jobs, items, strict=True):
        # plans that nobody started are no news
        if job.state is not JobState.CANCELLED or job.started_at is not None:
            click.echo(show_plainly(_describe_job(controller, job, item, tongue)))
    for machine in controller.machines():
        click.echo(show_plainly(_describe_machine(controller, machine)))
    if not jobs:
        click.echo("No jobs yet.")
    if controller.rents:
        credit = await find_credit(controller)
        left = "credit unknown" if credit is None else f"credit ${credit:.2f}"
        click.echo(f"spent today ${controller.spent_today_usd():.3f}, {left}")


def _make_document(
    controller: Controller, jobs: Sequence[Job], items: Sequence[Item]
) -> dict[str, Any]:
    rows = [
        {"job": job.id, **job_row(controller, item)} for job, item in zip(jobs, items, strict=True)
    ]
    machines = [
        {
            "id": machine.id,
            "instance_id": machine.instance,
            "state": machine.state,
            "name": machine.name,
            "usd_per_hour": machine.usd_per_hour,
            "cost_usd": round(controller.machine_usd(machine), 6),
        }
        for machine in controller.machines()
    ]
    return {
        "results": rows,
        "cost_usd": round(sum(row["cost_usd"] for row in rows), 6),
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "machines": machines,
        "spent_today_usd": round(controller.spent_today_usd(), 6),
    }


def _describe_job(controller: Controller, job: Job, item: Item, tongue: Tongue) -> str:
    attempt = controller.attempt(job.id)
    done = attempt.status if attempt and job.state is JobState.RUNNING else None
    percent = f" {100 * done.done // done.total}%" if done and done.total else ""
    told = item.error
    if job.state is JobState.QUEUED and job.waits_for:
        told = f"{tongue(f'reason-{job.waits_for}')} ({job.waits_detail})"
    elif job.state is JobState.HELD and job.held_for:
        told = f"{tongue(f'reason-{job.held_for}')}{_describe_terms(job)}"
    return f"{job.short_id}  {job.state:<9}{percent:>5}  {job.source_name}{told and f'  {told}'}"


def _describe_terms(job: Job) -> str:
    """What somebody would have to say yes to."""
    terms = job.held_data
    if not terms.get("usd"):
        return f" ({show_time(terms['seconds'])})" if "seconds" in terms else ""
    gpu = terms["gpu"] or "a machine"
    return f" ({gpu} @ ${terms['usd_per_hour']:.3f}/hr, ${terms['usd']:.2f} at most)"


def _describe_machine(controller: Controller, machine: Machine) -> str:
    price = f"${machine.usd_per_hour:.3f}/hr"
    so_far = f", ${controller.machine_usd(machine):.3f} so far" if controller.rents else ""
    name = f"#{machine.instance}" if machine.instance else "(no id yet)"
    return f"machine {name}  {machine.state:<9}  {machine.name} @ {price}{so_far}"

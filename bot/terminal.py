"""What the commands of the terminal do with a controller: submit, follow, cancel, show."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from ulid import ULID

from bot.batch import Batch, as_item, job_row
from bot.console import open_reporter
from bot.sources import NoSuchSource, find_sources
from bot.texts import Texts, Tongue
from controller.errors import ControllerError, NoSuchJob, TooLate
from controller.records import TERMINAL, Job
from controller.service import Controller
from controller.settings import Settings
from controller.states import JobState
from controller.wiring import open_controller
from remote_runner.protocol import Task

_CANCEL_S = 60.0


class UsageError(click.ClickException):
    """One line that says what is wrong and how to mend it."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What ``noxfvr batch`` was asked to do."""

    sources: Sequence[str]
    task: Task
    json_file: str | None
    limits: bool
    """Whether limits of renting were given for this command."""
    dry_run: bool
    yes: bool


async def run_batch(settings: Settings, order: Order) -> bool:
    """Submit, ask, follow; whether every video was completed."""
    check_target(order.json_file)
    async with open_controller(settings) as controller:
        if order.limits and not controller.reconciles:
            raise UsageError(
                "--max-price and --machines are limits of the process that rents, and that is "
                "another one here: set NOXFVR_MAX_PRICE and NOXFVR_MAX_MACHINES there"
            )
        follower = Batch(controller, open_reporter(order.json_file), tongue())
        try:
            await _submit(controller, follower, order)
            if not follower.items:
                follower.reporter.warn("Nothing to process")
                return False
            if order.dry_run or not await _is_wanted(controller, follower, order.yes):
                _show_plan(controller, follower)
                await follower.skip_all()
                _write_rows(follower, order.json_file, 0.0)
                return order.dry_run and not any(i.error for i in follower.items)
            follower.start()
        except BaseException:
            follower.reporter.close()
            raise
        return await follow(follower, order.json_file)


async def _submit(controller: Controller, follower: Batch, order: Order) -> None:
    reporter = follower.reporter
    run = str(ULID())
    found = []
    for each in order.sources:
        try:
            found.append(await find_sources(controller, each))
        except NoSuchSource as error:
            raise UsageError(str(error)) from None
    for place in found:
        reporter.say("DIR", f"Processing batch from: {place.given}")
        reporter.say("LIST", f"Listing files from {place.place}: {place.given}")
        reporter.say("OK", f"Found {len(place.sources)} video files")
        for source in place.sources:
            try:
                key = f"batch:{run}:{len(follower.items)}"
                job = await source.accept(controller, key, tongue().language, order.task)
                follower.add_job(source, job)
            except ControllerError as error:
                follower.add_error(source, error)


async def follow(follower: Batch, json_file: str | None) -> bool:
    """To the end; an interrupt cancels what goes on and still waits for its end."""
    started = time.monotonic()
    following = asyncio.ensure_future(follower.follow())
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        follower.reporter.warn("Interrupted: cancelling what has not ended")
        follower.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        await following
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        follower.reporter.close()
    _write_rows(follower, json_file, time.monotonic() - started)
    return all(item.status == "completed" for item in follower.items)


def check_target(json_file: str | None) -> None:
    """:class:`UsageError` where the rows could not be written, before any work is done."""
    if json_file in (None, "-"):
        return
    target = Path(json_file)
    if target.is_dir() or not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UsageError(f"{json_file} cannot be written: name a file in a folder of yours")


async def see_machines_off(controller: Controller) -> None:
    """Carry out what ends machines, if this process is the one that has to."""
    if not controller.reconciles:
        return
    controller.release_idle_machines()
    ends_at = time.monotonic() + _CANCEL_S
    while any(not controller.attempt_on(each.id) for each in controller.machines()):
        if time.monotonic() > ends_at:
            click.echo("a machine is not proven gone yet; noxfvr status shows it", err=True)
            return
        await asyncio.sleep(0.2)


async def cancel_all(controller: Controller, jobs: Sequence[Job]) -> bool:
    """Whether all of them ended as cancelled."""
    late = False
    for job in jobs:
        try:
            controller.cancel(job.id, by=TERMINAL)
        except TooLate:
            click.echo(f"{job.short_id} {job.state} already")
            late = True
    ends_at = time.monotonic() + _CANCEL_S
    for job in jobs:
        ended = controller.get(job.id, by=TERMINAL)
        while not ended.state.is_terminal and time.monotonic() < ends_at:
            await asyncio.sleep(0.2)
            ended = controller.get(job.id, by=TERMINAL)
        click.echo(f"{job.short_id} {ended.state}")
        late = late or ended.state is not JobState.CANCELLED
    await see_machines_off(controller)
    return not late


def show_status(controller: Controller, as_json: bool) -> None:
    jobs = controller.jobs(limit=10_000 if as_json else 50)
    items = [as_item(controller, job, n, tongue()) for n, job in enumerate(jobs, start=1)]
    if as_json:
        rows = [
            {"job": job.id, **job_row(controller, item)}
            for job, item in zip(jobs, items, strict=True)
        ]
        machines = [
            {
                "id": m.id,
                "instance_id": m.instance,
                "state": m.state,
                "usd_per_hour": m.usd_per_hour,
            }
            for m in controller.machines()
        ]
        cost = sum(row["cost_usd"] for row in rows)
        seconds = sum(row["seconds"] for row in rows)
        document = {"results": rows, "cost_usd": cost, "seconds": seconds, "machines": machines}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for job, item in zip(jobs, items, strict=True):
        attempt = controller.attempt(job.id)
        done = attempt.status if attempt and job.state is JobState.RUNNING else None
        percent = f" {100 * done.done // done.total}%" if done and done.total else ""
        error = f"  {item.error}" if item.error else ""
        click.echo(f"{job.short_id}  {job.state:<9}{percent:>5}  {job.source_name}{error}")
    for machine in controller.machines():
        price = f"${machine.usd_per_hour:.3f}/hr"
        click.echo(f"machine #{machine.instance}  {machine.state:<9}  {machine.name} @ {price}")
    if not jobs:
        click.echo("No jobs yet.")


def _show_plan(controller: Controller, follower: Batch) -> None:
    for item in follower.items:
        if item.job:
            expected = controller.estimate(item.job)
            follower.reporter.say(
                "PLAN",
                f"{item.source.name}: {expected.width}x{expected.height}, "
                f"{expected.frames_out} frames, about {expected.seconds:.0f} s",
            )


async def _is_wanted(controller: Controller, follower: Batch, yes: bool) -> bool:
    """Ask where somebody can answer; a pipe has said what it wants by its arguments."""
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    jobs = [item.job for item in follower.items if item.job]
    if not jobs:
        return True
    estimates = [controller.estimate(job) for job in jobs]
    seconds, usd = sum(e.seconds for e in estimates), sum(e.usd for e in estimates)
    question = f"{len(jobs)} videos, about {seconds:.0f} s, ${usd:.2f}. Start?"
    return await asyncio.to_thread(click.confirm, question, True)


def _write_rows(follower: Batch, json_file: str | None, seconds: float) -> None:
    if json_file is None:
        return
    rows = follower.rows()
    document = {
        "results": rows,
        "cost_usd": round(sum(row["cost_usd"] for row in rows), 6),
        "seconds": round(seconds, 3),
    }
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if json_file == "-":
        click.echo(text)
    else:
        Path(json_file).write_text(text + "\n", encoding="utf-8")


def find_job(controller: Controller, job_id: str) -> Job:
    try:
        return controller.get(job_id, by=TERMINAL)
    except NoSuchJob:
        raise UsageError(f"{job_id}: no such job; noxfvr status lists them") from None


def tongue() -> Tongue:
    return Texts().pick(os.environ.get("LC_ALL") or os.environ.get("LANG"))

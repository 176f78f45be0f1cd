"""What the commands of the terminal do with a controller: submit, follow, cancel, show."""

from __future__ import annotations

import asyncio
import dataclasses
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

from bot.terminal.batch import Batch
from bot.terminal.console import open_reporter
from bot.terminal.planning import ask, find_quotes, show_plan, show_ranking
from bot.terminal.sources import NoSuchSource, find_sources
from bot.texts import Texts, Tongue
from controller.errands import reap
from controller.errors import ControllerError, NoSuchJob, TooLate, UserError
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
    """Submit, ask, follow; whether every video is completed, or was before."""
    check_target(order.json_file)
    # a dry run must not set loops going, which may rent for jobs of earlier commands
    async with open_controller(settings, only_look=order.dry_run) as controller:
        if order.limits and not (controller.reconciles or order.dry_run):
            raise UsageError(
                "--max-price and --machines are limits of the process that rents, and that is "
                "another one here: set NOXFVR_MAX_PRICE and NOXFVR_MAX_MACHINES there"
            )
        try:
            task = await controller.settle_task(order.task)
        except UserError as error:
            raise UsageError(str(error)) from None
        order = dataclasses.replace(order, task=task)
        batch = Batch(controller, open_reporter(order.json_file), tongue())
        try:
            await _submit(controller, batch, order)
            if not batch.items:
                batch.reporter.warn("Nothing to process")
                _write_rows(batch, order.json_file)
                return False
            if not await _is_to_start(controller, batch, order):
                await batch.skip_all()
                _write_rows(batch, order.json_file)
                return order.dry_run and batch.is_fine
            batch.start()
        except BaseException:
            batch.reporter.close()
            raise
        return await follow(batch, order.json_file)


async def _submit(controller: Controller, batch: Batch, order: Order) -> None:
    reporter = batch.reporter
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
                done = await source.find_done(controller, order.task)
                if done:
                    batch.add_done(source, done)
                    continue
                key = f"batch:{run}:{len(batch.items)}"
                job = await source.accept(controller, key, tongue().language, order.task)
                batch.add_job(source, job)
            except ControllerError as error:
                batch.add_error(source, error)


async def _is_to_start(controller: Controller, batch: Batch, order: Order) -> bool:
    """Say what it would take; whether to go on, with whatever fits."""
    quotes = await find_quotes(controller, batch, whole=order.dry_run)
    if order.dry_run:
        show_plan(controller, batch, quotes)
        show_ranking(controller.settings, batch, quotes)
        return False
    # a pipe has said what it wants by its arguments
    if order.yes or not batch.open() or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    show_plan(controller, batch, quotes)
    question = ask(batch, quotes, controller)
    return await asyncio.to_thread(click.confirm, question, True)


async def follow(batch: Batch, json_file: str | None) -> bool:
    """To the end; an interrupt cancels what goes on and still waits for its end."""
    following = asyncio.ensure_future(batch.follow())
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        batch.reporter.warn("Interrupted: cancelling what has not ended")
        batch.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        await following
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        batch.reporter.close()
    _write_rows(batch, json_file)
    return batch.is_fine


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


def _write_rows(batch: Batch, json_file: str | None) -> None:
    if json_file is None:
        return
    document = {
        "results": batch.rows(),
        "cost_usd": round(batch.cost_usd(), 6),
        "seconds": round(batch.seconds, 3),
    }
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if json_file == "-":
        click.echo(text)
    else:
        Path(json_file).write_text(text + "\n", encoding="utf-8")


async def reap_machines(settings: Settings, deployment: str | None, *, dry_run: bool) -> bool:
    """A line for each machine that nothing claims; whether none of them is left."""
    reaped = await reap(settings, deployment=deployment, dry_run=dry_run)
    for each in reaped:
        orphan = each.orphan
        price = "" if orphan.usd_per_hour is None else f"  ${orphan.usd_per_hour:.3f}/hr"
        ending = "  destroyed" if each.destroyed else "" if dry_run else "  not proven destroyed"
        click.echo(f"#{orphan.instance}  {orphan.label}  {orphan.why}{price}{ending}")
    if not reaped:
        click.echo("No machine is left that nothing claims.")
    return all(each.destroyed for each in reaped)


def find_job(controller: Controller, job_id: str) -> Job:
    try:
        return controller.get(job_id, by=TERMINAL)
    except NoSuchJob:
        raise UsageError(f"{job_id}: no such job; noxfvr status lists them") from None


def tongue() -> Tongue:
    return Texts().pick(os.environ.get("LC_ALL") or os.environ.get("LANG"))

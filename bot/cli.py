"""The ``noxfvr`` command.

Exit codes: 0 done, 1 work failed, 2 wrong usage or settings (one line, no traceback).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from ulid import ULID

from bot.batch import Batch, as_item, job_row
from bot.console import open_reporter
from bot.sources import NoSuchSource, find_sources
from bot.texts import Texts, Tongue
from controller.errors import ControllerError, NoSuchJob, SettingsError, TooLate, UserError
from controller.records import TERMINAL, Job
from controller.service import Controller
from controller.settings import Settings, load_settings, read_environment
from controller.states import JobState
from controller.wiring import configure_logging, open_controller
from remote_runner import __version__
from remote_runner.protocol import PRESETS, Mode, Task

log = logging.getLogger(__name__)

_CANCEL_S = 60.0


class UsageError(click.ClickException):
    """One line that says what is wrong and how to mend it."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Make videos larger and smoother on a machine that is given back at once."""


@main.command()
def bot() -> None:
    """Run the Telegram bot with its controller."""
    from bot.dispatcher import run_bot  # noqa: PLC0415 - the other commands start quicker without
    from bot.settings import load_bot_settings  # noqa: PLC0415

    env = read_environment()
    settings = _settings(env)
    bot_settings = _or_usage(lambda: load_bot_settings(env))
    configure_logging(settings)

    async def serve() -> None:
        async with open_controller(settings, must_own=True) as controller:
            await run_bot(controller, bot_settings)

    _run(_until_signalled(serve()))


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--mode", type=click.Choice([*Mode]), default=str(Mode.UPSCALE), show_default=True)
@click.option("--scale", type=click.Choice(["2", "4"]), default="2", show_default=True)
@click.option("--size", metavar="WxH", help="Exact output size, fitted with borders.")
@click.option("--fps", metavar="N", help="Target frame rate: 60, 59.94, 24000/1001.")
@click.option("--model", default="auto", show_default=True, help="A name of the catalog.")
@click.option("--codec", type=click.Choice(["auto", "h264", "hevc"]), default="auto")
@click.option("--crf", type=click.IntRange(0, 51), help="Quality, 0 is best.")
@click.option("--preset", type=click.Choice(PRESETS), help="Speed of the encoder.")
@click.option("--max-price", type=click.FloatRange(0), help="Cap in $/h for this command.")
@click.option("--machines", type=click.IntRange(1), help="Machines side by side at most.")
@click.option("--json", "json_file", type=click.Path(), help="Write a row per file; - prints.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask before the start.")
def batch(sources: Sequence[str], json_file: str | None, **options: Any) -> None:
    """Process files, folders and storage paths; exit 0 only if all completed."""
    task = _task(options)
    settings = _settings()
    if options["max_price"] is not None:
        settings = dataclasses.replace(settings, max_price=options["max_price"])
    if options["machines"] is not None:
        settings = dataclasses.replace(settings, max_machines=options["machines"])
    configure_logging(settings, level=logging.ERROR)
    work = _batch(settings, sources, task, options, json_file)
    sys.exit(0 if _run(work) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print rows instead of a table.")
def status(as_json: bool) -> None:
    """Show jobs and machines."""
    settings = _settings()

    async def show() -> None:
        async with open_controller(settings, only_look=True) as controller:
            _show_status(controller, as_json)

    _run(show())


@main.command()
@click.argument("jobs", nargs=-1, metavar="JOB…")
@click.option("--all", "everything", is_flag=True, help="All jobs that have not ended.")
def cancel(jobs: Sequence[str], everything: bool) -> None:
    """Cancel jobs and wait until they have ended."""
    if bool(jobs) == everything:
        raise UsageError("name the jobs to cancel, or give --all")
    settings = _settings()
    configure_logging(settings, level=logging.ERROR)

    async def work() -> bool:
        async with open_controller(settings) as controller:
            found = (
                controller.jobs(active=True, limit=10_000)
                if everything
                else [_job(controller, each) for each in jobs]
            )
            return await _cancel_all(controller, found)

    sys.exit(0 if _run(work()) else 1)


@main.command()
@click.argument("job")
@click.option("--json", "json_file", type=click.Path(), help="Write the row; - prints.")
def retry(job: str, json_file: str | None) -> None:
    """Run a job that has ended once more, and follow it to its end."""
    settings = _settings()
    configure_logging(settings, level=logging.ERROR)

    async def work() -> bool:
        async with open_controller(settings) as controller:
            old = _job(controller, job)
            try:
                again = controller.retry(old.id, by=TERMINAL, key=f"retry:{ULID()}")
            except TooLate:
                raise UsageError(f"{job} goes on, or its input was removed") from None
            follower = Batch(controller, open_reporter(), _tongue())
            follower.add_job(as_item(controller, again, 1, _tongue()).source, again)
            return await _follow(controller, follower, json_file)

    sys.exit(0 if _run(work()) else 1)


@main.command()
@click.argument("job")
def logs(job: str) -> None:
    """Print the last lines of a job's runner."""
    settings = _settings()

    async def show() -> None:
        async with open_controller(settings, only_look=True) as controller:
            for line in await controller.logs(_job(controller, job).id, by=TERMINAL):
                click.echo(line)

    _run(show())


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check keys, limits and programs; exit 1 if anything would fail."""
    from bot.doctor import examine  # noqa: PLC0415 - imports aiogram

    findings = _run(examine(read_environment()))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in findings], indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
    sys.exit(1 if any(finding.level == "fail" for finding in findings) else 0)


@main.command()
@click.option("--video", type=click.Path(path_type=Path), help="Instead of the shipped sample.")
def demo(video: Path | None) -> None:
    """The whole story on this computer: a chat, the bot, the work, the result."""
    from bot.demo import run_demo  # noqa: PLC0415 - imports aiogram

    if video is not None and not video.is_file():
        raise UsageError(f"{video}: no such file")
    sys.exit(_run(run_demo(video, _settings().data_dir)))


async def _batch(
    settings: Settings,
    given: Sequence[str],
    task: Task,
    options: dict[str, Any],
    json_file: str | None,
) -> bool:
    async with open_controller(settings) as controller:
        follower = Batch(controller, open_reporter(), _tongue())
        try:
            await _submit(controller, follower, given, task)
            if not follower.items:
                follower.reporter.warn("Nothing to process")
                return False
            if options["dry_run"] or not _is_wanted(controller, follower, options["yes"]):
                _show_plan(controller, follower)
                follower.skip_all()
                _write_rows(follower, json_file, 0.0)
                return bool(options["dry_run"]) and not any(i.error for i in follower.items)
            follower.start()
        except BaseException:
            follower.reporter.close()
            raise
        return await _follow(controller, follower, json_file)


async def _submit(
    controller: Controller, follower: Batch, given: Sequence[str], task: Task
) -> None:
    reporter = follower.reporter
    run = str(ULID())
    found = []
    for each in given:
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
                job = await source.accept(controller, key, _tongue().language, task)
                follower.add_job(source, job)
            except UserError as error:
                follower.add_error(source, error)


async def _follow(controller: Controller, follower: Batch, json_file: str | None) -> bool:
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


async def _cancel_all(controller: Controller, jobs: Sequence[Job]) -> bool:
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
    return not late


def _show_status(controller: Controller, as_json: bool) -> None:
    jobs = controller.jobs(limit=10_000 if as_json else 50)
    items = [as_item(controller, job, n, _tongue()) for n, job in enumerate(jobs, start=1)]
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


def _is_wanted(controller: Controller, follower: Batch, yes: bool) -> bool:
    """Ask where somebody can answer; a pipe has said what it wants by its arguments."""
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    jobs = [item.job for item in follower.items if item.job]
    if not jobs:
        return True
    estimates = [controller.estimate(job) for job in jobs]
    seconds, usd = sum(e.seconds for e in estimates), sum(e.usd for e in estimates)
    return click.confirm(f"{len(jobs)} videos, about {seconds:.0f} s, ${usd:.2f}. Start?", True)


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


def _task(options: dict[str, Any]) -> Task:
    task = Task(
        mode=Mode(options["mode"]),
        scale=int(options["scale"]),
        size=options["size"],
        fps=options["fps"],
        model=options["model"],
        codec=options["codec"],
        crf=options["crf"],
        preset=options["preset"],
    )
    problems = task.problems()
    if problems:
        raise UsageError("; ".join(problems))
    return task


def _job(controller: Controller, job_id: str) -> Job:
    try:
        return controller.get(job_id, by=TERMINAL)
    except NoSuchJob:
        raise UsageError(f"{job_id}: no such job; noxfvr status lists them") from None


def _settings(env: dict[str, str] | None = None) -> Settings:
    return _or_usage(lambda: load_settings(read_environment() if env is None else env))


def _or_usage(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except SettingsError as error:
        raise UsageError("; ".join(error.problems)) from None


def _tongue() -> Tongue:
    return Texts().pick(os.environ.get("LC_ALL") or os.environ.get("LANG"))


async def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Cancel the work on SIGTERM or SIGINT and wait for its tidy end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except ControllerError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        errors = group.subgroup(ControllerError)
        if errors is None:
            raise
        _fail(errors.exceptions[0])


def _fail(error: BaseException) -> NoReturn:
    raise click.ClickException(str(error)) from None

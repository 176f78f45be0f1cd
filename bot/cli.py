"""The ``noxfvr`` command.

Exit codes: 0 done, 1 work failed, 2 wrong usage or settings (one line, no traceback).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from ulid import ULID

from bot.terminal.backups import (
    ask_to_restore,
    find_backup,
    show_backups,
    tell_restoration,
)
from bot.terminal.batch import Batch
from bot.terminal.commands import (
    Order,
    UsageError,
    cancel_all,
    check_target,
    find_job,
    follow,
    reap_machines,
    run_batch,
    tongue,
)
from bot.terminal.console import open_reporter
from bot.terminal.overview import show_status
from bot.terminal.rows import as_item
from controller.errands import restore as restore_backup
from controller.errors import ControllerError, SettingsError, TooLate
from controller.log_output import configure_logging
from controller.model_names import OTHERWISE
from controller.records import TERMINAL
from controller.settings import (
    Settings,
    load_provider_settings,
    load_settings,
    read_environment,
)
from controller.wiring import open_controller
from remote_runner import __version__
from remote_runner.protocol import (
    CODECS,
    CONTAINERS,
    DENOISABLE,
    NAMED_SIZES,
    PRESETS,
    Fit,
    Mode,
    Task,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Make videos larger and smoother on a machine that is given back at once."""


@main.command()
@click.option(
    "--keep-deployment",
    is_flag=True,
    help="Keep the name though the data directory is a copy; the original runs nowhere any more.",
)
def bot(keep_deployment: bool) -> None:
    """Run the Telegram bot with its controller."""
    from bot.dispatcher import run_bot  # noqa: PLC0415 - the other commands start quicker without
    from bot.settings import load_bot_settings  # noqa: PLC0415

    env = _or_usage(read_environment)
    settings = _settings(env)
    bot_settings = _or_usage(lambda: load_bot_settings(env))
    configure_logging(settings)

    async def serve() -> None:
        async with open_controller(
            settings, must_own=True, keep_deployment=keep_deployment
        ) as controller:
            await run_bot(controller, bot_settings)

    _run(_until_signalled(serve()))


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in Mode]),
    default=str(Mode.UPSCALE),
    show_default=True,
)
@click.option("--scale", type=click.Choice(["2", "4"]), default="2", show_default=True)
@click.option("--size", metavar="SIZE", help="Output size: 1080p, 4k, or WxH exactly.")
@click.option(
    "--fit",
    type=click.Choice([str(fit) for fit in Fit]),
    help="What --size WxH does with another shape: borders, or cut off.  [default: letterbox]",
)
@click.option("--fps", metavar="N", help="Target frame rate: 60, 59.94, 24000/1001, or same.")
@click.option("--model", default="auto", show_default=True, help=f"A name, or {OTHERWISE}.")
@click.option("--interpolator", default="auto", show_default=True, help="As --model.")
@click.option("--denoise", type=click.FloatRange(0, 1), help=f"Strength of {DENOISABLE}.")
@click.option("--container", type=click.Choice(CONTAINERS), default="auto")
@click.option("--codec", type=click.Choice(CODECS), default="auto")
@click.option("--crf", type=click.IntRange(0, 63), help="Quality, 0 is best.")
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
    order = Order(
        sources=sources,
        task=task,
        json_file=json_file,
        limits=options["max_price"] is not None or options["machines"] is not None,
        dry_run=options["dry_run"],
        yes=options["yes"],
    )
    sys.exit(0 if _run(run_batch(settings, order)) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print rows instead of a table.")
def status(as_json: bool) -> None:
    """Show jobs and machines."""
    settings = _settings()

    async def show() -> None:
        async with open_controller(settings, only_look=True) as controller:
            await show_status(controller, tongue(), as_json=as_json)

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
        async with open_controller(settings, only_end=True) as controller:
            found = (
                controller.jobs(active=True, limit=10_000)
                if everything
                else [find_job(controller, each) for each in jobs]
            )
            return await cancel_all(controller, found)

    sys.exit(0 if _run(work()) else 1)


@main.command()
@click.argument("job")
@click.option("--json", "json_file", type=click.Path(), help="Write the row; - prints.")
def retry(job: str, json_file: str | None) -> None:
    """Run a job that has ended once more, and follow it to its end."""
    settings = _settings()
    check_target(json_file)
    configure_logging(settings, level=logging.ERROR)

    async def work() -> bool:
        async with open_controller(settings) as controller:
            old = find_job(controller, job)
            try:
                again = controller.retry(old.id, by=TERMINAL, key=f"retry:{ULID()}")
            except TooLate:
                raise UsageError(f"{job} goes on, or its input was removed") from None
            follower = Batch(controller, open_reporter(json_file), tongue())
            follower.add_job(as_item(controller, again, 1, tongue()).source, again)
            return await follow(follower, json_file)

    sys.exit(0 if _run(work()) else 1)


@main.command()
@click.argument("job")
def logs(job: str) -> None:
    """Print the last lines of a job's runner."""
    settings = _settings()

    async def show() -> None:
        async with open_controller(settings, only_look=True) as controller:
            for line in await controller.logs(find_job(controller, job).id, by=TERMINAL):
                click.echo(line)

    _run(show())


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be destroyed.")
@click.option("--deployment", metavar="ID", help="Whose machines; 8 characters.")
def reap(dry_run: bool, deployment: str | None) -> None:
    """Destroy rented machines that no work claims; exit 0 if none is left.

    Of the deployment of the data directory, or of the one that is named; with neither, only
    machines that should have ended themselves ten minutes ago. Needs VAST_API_KEY alone.
    """
    env = _or_usage(read_environment)
    settings = _or_usage(lambda: load_provider_settings(env))
    if deployment is not None and not re.fullmatch("[a-z0-9]{8}", deployment):
        raise UsageError(f"{deployment}: a deployment is 8 lower-case letters and digits")
    configure_logging(settings, level=logging.ERROR)
    sys.exit(0 if _run(reap_machines(settings, deployment, dry_run=dry_run)) else 1)


@main.command()
@click.argument("backup", required=False)
@click.option("--list", "only_list", is_flag=True, help="Show the backups; so does no BACKUP.")
@click.option(
    "--keep-deployment",
    is_flag=True,
    help="Keep the name; the controller that the backup is of runs nowhere any more.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the database is replaced.")
def restore(backup: str | None, only_list: bool, keep_deployment: bool, yes: bool) -> None:
    """Put a backup in the place of the database, which stays beside it.

    BACKUP is a name from the list, or a file. The restored database gets a deployment name of its
    own, and machines of the old one are none of its own.
    """
    settings = _settings()
    configure_logging(settings, level=logging.ERROR)
    if backup is None or only_list:
        show_backups(settings)
        return
    path = find_backup(settings, backup)
    if not yes:
        ask_to_restore(settings, path)
    try:
        restored = restore_backup(settings, path, keep_deployment=keep_deployment)
    except ControllerError as error:
        _fail(error)
    tell_restoration(settings, restored)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check keys, limits and programs; exit 1 if anything would fail."""
    from bot.terminal.doctor import examine  # noqa: PLC0415 - imports aiogram

    findings = _run(examine(_or_usage(read_environment)))
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
    from bot.terminal.demo import run_demo  # noqa: PLC0415 - imports aiogram

    if video is not None and not video.is_file():
        raise UsageError(f"{video}: no such file")
    sys.exit(_run(run_demo(video, _settings().data_dir)))


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="[default: 8081, or a free one]")
@click.option("--open/--no-open", "open_page", default=None, help="Open the page in a browser.")
def sandbox(port: int | None, open_page: bool | None) -> None:
    """The bot as a chat in your browser: no account, nothing leaves this computer."""
    from bot.terminal.sandbox import has_screen, run_sandbox  # noqa: PLC0415 - imports aiogram

    show = has_screen() if open_page is None else open_page
    _run(_until_signalled(run_sandbox(_settings(), port, open_page=show)))


def _task(options: dict[str, Any]) -> Task:
    model = options["model"]
    if options["denoise"] is not None and model == "auto":
        model = DENOISABLE  # there is no other that it could mean
    task = Task(
        mode=Mode(options["mode"]),
        scale=int(options["scale"]),
        size=options["size"],
        fit=Fit(options["fit"] or Fit.LETTERBOX),
        fps=options["fps"],
        model=model,
        interpolator=options["interpolator"],
        denoise=options["denoise"],
        container=options["container"],
        codec=options["codec"],
        crf=options["crf"],
        preset=options["preset"],
    )
    problems = [*task.problems(), *_misplaced(task, options)]
    if problems:
        raise UsageError("; ".join(problems))
    return task


def _misplaced(task: Task, options: dict[str, Any]) -> list[str]:
    """Options that would change nothing as the others are."""
    problems = [
        f"--{name} needs --mode interp or both"
        for name, given in (("fps", task.fps), ("interpolator", task.interpolator != "auto"))
        if given and not task.mode.interpolates
    ]
    problems += [
        f"--{name} needs --mode upscale or both"
        for name, given in (("size", task.size), ("denoise", task.denoise is not None))
        if given and not task.mode.upscales
    ]
    if options["fit"] and (task.size or "").lower() in ("", *NAMED_SIZES):
        problems.append("--fit needs an exact size: --size WxH")
    return problems


def _settings(env: dict[str, str] | None = None) -> Settings:
    return _or_usage(lambda: load_settings(read_environment() if env is None else env))


def _or_usage(read: Callable[[], T]) -> T:
    try:
        return read()
    except SettingsError as error:
        raise UsageError("; ".join(error.problems)) from None


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

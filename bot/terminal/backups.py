"""``noxfvr restore``: which backups there are, and what follows when one takes its place again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bot.terminal.commands import UsageError
from controller.backups import Backup, Restoration, find_backups, read_contents, show_moment
from controller.errors import ControllerError
from controller.settings import Settings


def show_backups(settings: Settings) -> None:
    """A line for each, the newest first."""
    backups = find_backups(settings.backups_dir)
    for backup in backups:
        size = f"{backup.bytes / 1e6:.1f} MB"
        click.echo(
            f"{backup.path.name}  {show_moment(backup.at)}  {backup.why}  {size}  "
            f"{_describe_contents(backup)}"
        )
    if not backups:
        click.echo(f"There is no backup in {settings.backups_dir} yet.")
    else:
        click.echo(f"They are in {settings.backups_dir}; noxfvr restore NAME restores one.")


def find_backup(settings: Settings, text: str) -> Path:
    """By its name in the list, or by its path; :class:`UsageError` where there is none."""
    for path in (settings.backups_dir / text, Path(text)):
        if path.is_file():
            return path
    raise UsageError(f"{text}: no such backup; noxfvr restore --list shows them")


def ask_to_restore(settings: Settings, backup: Path) -> None:
    """On a screen; elsewhere it has to be said beforehand."""
    if not sys.stdin.isatty():
        raise UsageError("--yes has to be given where nobody can be asked")
    known = Backup.of(backup)
    when = f", of {show_moment(known.at)}" if known else ""
    click.confirm(f"Replace {settings.database} by {backup.name}{when}?", abort=True)


def tell_restoration(settings: Settings, done: Restoration) -> None:
    """What was done, and what it is for the machines, the jobs and the chats."""
    click.echo(f"{settings.database} is restored from {done.backup}, {show_moment(done.as_of)}.")
    if done.set_aside:
        click.echo(f"What it was before is kept as {done.set_aside} beside it.")
    if not done.is_renamed:
        click.echo(
            f"The deployment is still {done.deployment}: be sure that no other controller of this "
            "name runs, they would destroy each other's machines. Machines that were rented since "
            "then are destroyed by the next start."
        )
        return
    click.echo(
        f"The deployment is {done.deployment} now. Machines of {done.was_deployment}"
        f"{_count_machines(done)} are none of its own: it never touches them and counts no more "
        "money for them. They end themselves at their deadline; if no controller of "
        f"{done.was_deployment} runs any more, end them now: "
        f"noxfvr reap --deployment {done.was_deployment}"
    )
    if done.jobs:
        click.echo(f"{done.jobs} jobs ran on them: those wait in the queue again.")
    click.echo("What Telegram has not handed out yet comes in at the next start.")


def _describe_contents(backup: Backup) -> str:
    try:
        contents = read_contents(backup.path)
    except ControllerError as error:
        return f"not to be read: {error}"
    return (
        f"deployment {contents.deployment or '-'}, {contents.jobs} jobs, "
        f"{contents.machines} machines open"
    )


def _count_machines(done: Restoration) -> str:
    return f" ({done.machines} known)" if done.machines else ""

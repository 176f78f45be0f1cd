"""``python -m bot.sandbox``: the sandbox as a process; its first line is its base URL."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from bot.sandbox.limits import Rules
from bot.sandbox.server import DEFAULT_TOKEN, Sandbox
from bot.sandbox.updates import FIRST_ID


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free port.")
@click.option("--token", default=DEFAULT_TOKEN, help="The token that the bot must show.")
@click.option("--dir", "root", type=click.Path(path_type=Path, file_okay=False), default=None)
@click.option("--local-files", is_flag=True, help="As a Bot API server started with --local.")
@click.option("--no-limits", is_flag=True, help="Never answer 429 on its own.")
@click.option(
    "--first-update",
    type=click.IntRange(1),
    default=FIRST_ID,
    show_default=True,
    help="The id of the first update.",
)
def main(
    port: int,
    token: str,
    root: Path | None,
    first_update: int,
    *,
    local_files: bool,
    no_limits: bool,
) -> None:
    """Serve the Bot API on 127.0.0.1 until SIGTERM or Ctrl-C."""
    rules = Rules(local_files=local_files, first_update_id=first_update)
    try:
        sandbox = Sandbox(token=token, root=root, rules=rules, limited=not no_limits)
        asyncio.run(_serve(sandbox, port))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


async def _serve(sandbox: Sandbox, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        click.echo(await sandbox.start(port))
        await stopped.wait()
    finally:
        await sandbox.stop()


if __name__ == "__main__":
    main()

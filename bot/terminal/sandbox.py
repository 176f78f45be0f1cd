"""The real bot on a Telegram of its own, as a chat in a browser, without any account.

The bot runs as the program that a user would start; what it was told by the environment stays,
except for the account, the server, the data directory and the address of its pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import psutil
from filelock import FileLock, Timeout

from bot.sandbox import DEFAULT_TOKEN, Rules, Sandbox
from bot.sandbox.server import HOST
from bot.terminal.commands import UsageError
from controller.errors import ControllerError
from controller.settings import Settings

DEFAULT_PORT = 8081
ADMIN = 100
USER = 200
GROUP = -1001000000001
_READY_S = 60.0
_TOLD_S = 1.0
"""Open pages hear within this why the server is about to go."""
_GRACE_S = 15.0
_IDS_FROM = 1_700_000_000


class SandboxError(ControllerError):
    """The sandbox could not be started, or its bot ended."""


async def run_sandbox(settings: Settings, port: int | None, *, open_page: bool) -> None:
    """Serve until cancelled.

    ``port`` None is 8081, or a free one where that is taken.

    Raises:
        SandboxError: another sandbox has the data directory, or the bot ended; the text has the
            path of its log.
        UsageError: the port is taken.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGHUP, task.cancel)
    home = settings.data_dir / "sandbox"
    home.mkdir(parents=True, exist_ok=True)
    with _claim(home):
        shutil.rmtree(home / "telegram", ignore_errors=True)
        sandbox = Sandbox(root=home / "telegram", rules=_go_on())
        try:
            await sandbox.start(_choose_port(port))
            await _populate(sandbox)
            async with _bot(sandbox, home) as process:
                await _serve(sandbox, process, home / "bot.log", open_page)
        finally:
            await sandbox.stop()
            if settings.provider != "local":
                click.echo(
                    "Machines that were rented end when they have nothing to do;"
                    f" NOXFVR_DATA_DIR={home} noxfvr reap ends them now."
                )


def has_screen() -> bool:
    """True if somebody sits at this terminal who can see a browser."""
    graphical = sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return graphical and sys.stdout.isatty()


@contextlib.contextmanager
def _claim(home: Path) -> Iterator[None]:
    try:
        with FileLock(home / "sandbox.lock", timeout=0):
            yield
    except Timeout:
        raise SandboxError(f"another sandbox runs on {home}") from None


def _go_on() -> Rules:
    """Ids above those of earlier runs, which the bot remembers and the server does not."""
    now = int(time.time())
    return Rules(first_update_id=now, first_message_id=now - _IDS_FROM)


def _choose_port(wanted: int | None) -> int:
    if _is_free(DEFAULT_PORT if wanted is None else wanted):
        return DEFAULT_PORT if wanted is None else wanted
    if wanted is not None:
        raise UsageError(f"port {wanted} is taken; leave --port out to have a free one")
    return _find_free_port()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as the server does: the end of a former one shall not keep the port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _populate(sandbox: Sandbox) -> None:
    """An admin, a user who reads Russian, and a group with both."""
    async with sandbox.driver() as driver:
        ann = await driver.person(ADMIN, "Ann", username="ann", language_code="en")
        boris = await driver.person(USER, "Борис", username="boris", language_code="ru")
        await driver.group(GROUP, "Films", {ann: "creator", boris: "member"})


@asynccontextmanager
async def _bot(sandbox: Sandbox, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The ``noxfvr bot`` process; with it, at the end, go the workers that it started here."""
    address = f"{HOST}:{_find_free_port()}"
    env = os.environ | {
        "TELEGRAM_BOT_TOKEN": DEFAULT_TOKEN,
        "TELEGRAM_API_URL": sandbox.base_url,
        "TELEGRAM_LOCAL_FILES": "",
        "TELEGRAM_ADMINS": str(ADMIN),
        "TELEGRAM_USERS": str(USER),
        "NOXFVR_DATA_DIR": str(home),
        "NOXFVR_PUBLIC_URL": f"http://{address}",
        "NOXFVR_BIND": address,
    }
    with (home / "bot.log").open("wb") as log_file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "bot", stdout=log_file, stderr=log_file, env=env
        )
    try:
        yield process
    finally:
        await _end(process)
        await asyncio.to_thread(_end_workers, home)


async def _serve(
    sandbox: Sandbox, process: asyncio.subprocess.Process, log_path: Path, open_page: bool
) -> None:
    ended = asyncio.create_task(process.wait())
    try:
        await _wait_for_bot(sandbox, ended)
        if not ended.done():
            click.echo(f"Open {sandbox.base_url} in a browser; Ctrl-C ends the sandbox.")
            if open_page:
                await asyncio.to_thread(webbrowser.open, sandbox.base_url)
        code = await ended
    finally:
        ended.cancel()
    why = f"the bot ended with {code}; see {log_path}"
    sandbox.end(why[0].upper() + why[1:])
    await asyncio.sleep(_TOLD_S)
    raise SandboxError(why)


async def _wait_for_bot(sandbox: Sandbox, ended: asyncio.Task[int]) -> None:
    """Until the bot asks for updates; it may be slow, so the page is told of anyway then."""
    for _ in range(int(_READY_S / 0.1)):
        if sandbox.has_bot or ended.done():
            return
        await asyncio.sleep(0.1)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _end_workers(home: Path) -> None:
    """End the workers below ``home``, which outlive a bot to be found again by the next."""
    workers = [each for each in psutil.process_iter() if _works_below(each, home)]
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.terminate()
    _, alive = psutil.wait_procs(workers, timeout=_GRACE_S)
    for worker in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _works_below(process: psutil.Process, home: Path) -> bool:
    try:
        work_dir = process.environ().get("NOXFVR_WORK_DIR", "")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return bool(work_dir) and Path(work_dir).is_relative_to(home.resolve())

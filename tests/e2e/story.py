"""A whole deployment as processes: a sandbox Telegram, ``noxfvr bot``, and what that starts."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from bot.sandbox import DEFAULT_TOKEN, Driver
from controller.labels import Label
from controller.providers.local import LABEL_VARIABLE
from controller.settings import Settings
from controller.wiring import open_controller

ADMIN = 100
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "samples" / "sample.mp4"


class Story:
    """Starts and kills the programs; ``driver`` is what persons do meanwhile."""

    sandbox_options: tuple[str, ...] = ("--no-limits",)

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.settings = Settings(data_dir=home / "data")
        self.driver: Driver
        self._env = env
        self._sandbox = None
        self._bot = None

    async def __aenter__(self):
        self._sandbox = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.sandbox", *self.sandbox_options,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        url = (await self._sandbox.stdout.readline()).decode().strip()
        self._url = url
        self.driver = await Driver(url).__aenter__()
        await self.start_bot()
        return self

    async def __aexit__(self, *_):
        await self.stop_bot()
        for process in self.runners():
            process.kill()
        await self.driver.__aexit__()
        self._sandbox.terminate()
        await self._sandbox.wait()
        self._sandbox._transport.close()

    async def start_bot(self) -> None:
        log = (self.home / "bot.log").open("ab")
        env = self.bot_env()
        self._bot = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "bot", env=env, stdout=log, stderr=log, cwd=ROOT
        )
        log.close()

    def bot_env(self) -> dict[str, str]:
        """What ``noxfvr bot`` is told here."""
        return {
            **os.environ, "TELEGRAM_BOT_TOKEN": DEFAULT_TOKEN, "TELEGRAM_API_URL": self._url,
            "TELEGRAM_ADMINS": str(ADMIN), "NOXFVR_DATA_DIR": str(self.settings.data_dir),
            "NOXFVR_POLL_S": "0.2", "NOXFVR_IDLE_S": "3", **self._env,
        }  # fmt: skip

    async def stop_bot(self) -> None:
        if self._bot.returncode is None:
            self._bot.terminate()
        await self._bot.wait()

    async def kill_bot(self) -> None:
        """kill -9; the machine it started goes on."""
        assert self._bot.returncode is None, self.log()
        self._bot.send_signal(signal.SIGKILL)
        await self._bot.wait()

    async def restart_bot(self) -> None:
        await self.kill_bot()
        await self.start_bot()

    def log(self) -> str:
        return (self.home / "bot.log").read_text()

    def runners(self) -> list[psutil.Process]:
        """Processes with a label of this story's deployment, runners and their helpers."""
        found = []
        for process in psutil.process_iter():
            try:
                label = Label.parse(process.environ().get(LABEL_VARIABLE, ""))
                work_dir = process.environ().get("NOXFVR_WORK_DIR", "")
                if label and work_dir.startswith(str(self.home)):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    async def wait_for_no_runner(self, timeout_s: float = 30.0) -> None:
        for _ in range(int(timeout_s / 0.1)):
            if not self.runners():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"still there: {self.runners()}")

    async def job(self):
        """The only job, as the database has it."""
        async with open_controller(self.settings, only_look=True) as controller:
            (job,) = controller.jobs()
            return job

    async def wait_for_job(self, wanted, timeout_s: float = 60.0):
        """Until ``wanted(job, attempt)`` is true of the only job."""
        for _ in range(int(timeout_s / 0.05)):
            if (self.settings.database).exists():
                async with open_controller(self.settings, only_look=True) as controller:
                    jobs = controller.jobs()
                    if jobs and wanted(jobs[0], controller.attempt(jobs[0].id)):
                        return jobs[0]
            await asyncio.sleep(0.05)
        raise AssertionError(f"not seen in {timeout_s} s\n{self.log()}")

    def files(self) -> list[str]:
        """Everything below the data directory but the database and logs."""
        root = self.settings.data_dir
        names = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
        return sorted(n for n in names if not n.startswith(("noxfvr.", "logs/")))

"""A rented deployment on one computer: stand-ins for Vast.ai and B2, ``noxfvr`` as processes.

The instances really run: the start script, the second one, the runner from its bundle, on the CPU.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

from controller.settings import Settings
from controller.wiring import open_controller
from tests.e2e.story import ROOT
from tests.standins.b2 import B2Standin
from tests.standins.vast import VastStandin, make_offer

LINE = re.compile(r"\[\d\d:\d\d:\d\d\] \[(INFO|WARN|ERROR)\] (.*)")

#: What a container needs of this computer so that two of them do not starve each other.
HOST_ENV = {
    name: os.environ[name]
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LD_LIBRARY_PATH")
    if name in os.environ
}


class Rented:
    """An async context manager; ``vast`` and ``b2`` are the world outside."""

    def __init__(self, home: Path, *, offers=None, env=None, **manners) -> None:
        self.home = home
        self.data = home / "data"
        self.b2 = B2Standin()
        self.vast = VastStandin(
            home / "hosts",
            offers or [make_offer(gpu_name="RTX 5060 Ti", compute_cap=1200, dph_base=0.05)],
            host_env=HOST_ENV, **manners,
        )  # fmt: skip
        self._env = env or {}
        self.processes = []

    async def __aenter__(self):
        await self.b2.__aenter__()
        await self.vast.__aenter__()
        return self

    async def __aexit__(self, *exception):
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
            process._transport.close()
        await self.vast.__aexit__(*exception)
        await self.b2.__aexit__(*exception)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C",
            "NOXFVR_PROVIDER": "vast", "NOXFVR_STORAGE": "s3", "NOXFVR_DEVICE": "cpu",
            "VAST_API_KEY": self.vast.account_key, "VAST_URL": self.vast.url,
            "NOXFVR_DATA_DIR": str(self.data), "NOXFVR_POLL_S": "0.5",
            **HOST_ENV, **self.b2.settings, **self._env,
        }  # fmt: skip

    @property
    def account_secrets(self) -> list[str]:
        return [self.vast.account_key, self.b2.key, self.b2.secret]

    async def start(self, *arguments: str, cwd: Path = ROOT, **env: str):
        env = {**self.env, "PYTHONPATH": str(ROOT), **env}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *arguments, env=env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, cwd=cwd,
        )  # fmt: skip
        self.processes.append(process)
        return process

    async def noxfvr(self, *arguments: str, timeout_s: float = 150, **env: str):
        """Exit code, standard output and standard error of one command."""
        process = await self.start(*arguments, **env)
        output, errors = await asyncio.wait_for(process.communicate(), timeout_s)
        return process.returncode, output.decode(), errors.decode()

    def controller(self):
        """A look at the deployment's database."""
        return open_controller(self.settings, only_look=True)

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.data)

    async def until(self, wanted, timeout_s: float = 60):
        """Until ``wanted()`` is true."""
        for _ in range(int(timeout_s / 0.1)):
            if wanted():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not seen in {timeout_s} s")


def told(output: str) -> list[str]:
    """Lines without their times; those of logs and progress are left out."""
    lines = [LINE.fullmatch(line) for line in output.splitlines()]
    assert all(lines), output
    texts = [line[2] for line in lines]
    return [text for text in texts if not text.startswith(("  [LOG] ", "[PROGRESS] "))]

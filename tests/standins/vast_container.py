"""The container of an instance of the Vast.ai stand-in: real processes, and what they print."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

PATH = (
    f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)


class Container:
    """``directory`` is its disk, home and working directory; it outlives the processes."""

    def __init__(self, directory: Path, log_path: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.log_path = log_path
        self.environment = {"PATH": PATH} | environment | {"HOME": str(directory)}
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        log_path.touch()

    @property
    def pid(self) -> int | None:
        """Of its first process, while that runs."""
        return self._process.pid if self._process else None

    def find(self, executable: str) -> str | None:
        return shutil.which(executable, path=PATH)

    async def run(self, command: list[str]) -> None:
        """Until the first process exits; nothing in a container survives that."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is back in milliseconds
                command, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        while self._process.poll() is None:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(0.02)
        await self.kill()

    async def kill(self) -> None:
        for _ in range(200):
            processes = self.processes()
            for process in processes:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            ended = self._process is None or self._process.poll() is not None
            if ended and not processes:
                self._process = None
                return
            await asyncio.sleep(0.01)
        raise RuntimeError(f"processes in {self.directory} do not end")

    def processes(self) -> list[psutil.Process]:
        """All that live in the container; those in a session of their own are known by HOME."""
        session = self.pid
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if os.getsid(process.pid) == session or (
                    process.environ().get("HOME") == str(self.directory)
                ):
                    found.append(process)
            except (psutil.Error, ProcessLookupError, PermissionError):
                continue
        return found

    def remove(self) -> None:
        shutil.rmtree(self.directory)

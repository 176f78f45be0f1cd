"""This computer as the machine: the runner as a subprocess in a process group of its own.

The truth is the operating system's table of processes, not this object: a runner carries its
label in its environment, so that it is found again after a restart, and its id is the pid and the
start time, so that a pid used again by somebody else is not mistaken for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import psutil

from controller.errors import ProviderError
from controller.labels import Label
from controller.providers.base import Instance, Launch, Need, Offer

log = logging.getLogger(__name__)

LABEL_VARIABLE = "NOXFVR_LABEL"

#: What a runner may see of our environment: never a secret.
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "PYTHONPATH",
    "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NOXFVR_MODELS_DIR",
    "NOXFVR_CACHE_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
)  # fmt: skip


class LocalProvider:
    """One machine that costs nothing: a second runner would only slow the first one down."""

    name = "local"
    rents = False
    settle_s = 0.0
    silence_s = 60.0
    boot_s = 120.0

    def __init__(
        self, *, deployment: str, logs_dir: Path, work_dir: Path, grace_s: float = 10.0
    ) -> None:
        self._deployment = deployment
        self._logs_dir = logs_dir
        self._work_dir = work_dir
        self._grace_s = grace_s
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    async def offers(self, need: Need) -> list[Offer]:
        labels = [Label.parse(instance.label) for instance in await self.instances()]
        if any(label and label.deployment == self._deployment for label in labels):
            return []
        return [Offer(id="local", name=await asyncio.to_thread(device_name), usd_per_hour=0.0)]

    async def create(self, offer: Offer, launch: Launch) -> str:
        instance_id = await asyncio.to_thread(self._start, launch)
        # a process that was just started shows its environment a moment later
        for _ in range(100):
            listed = {instance.id for instance in await self.instances()}
            if instance_id in listed or _process(instance_id) is None:
                break
            await asyncio.sleep(0.01)
        return instance_id

    async def instances(self) -> list[Instance]:
        self._collect_children()
        return await asyncio.to_thread(_find_runners)

    async def destroy(self, instance_ids: Collection[str]) -> set[str]:
        ended = await asyncio.gather(*(self._end(each) for each in instance_ids))
        return {each for each, gone in zip(instance_ids, ended, strict=True) if gone}

    async def logs(self, instance_id: str, lines: int) -> list[str] | None:
        return None  # what it prints lies in the logs folder already

    async def credit_usd(self) -> float | None:
        return None

    async def close(self) -> None:
        pass  # runners outlive this object

    async def _end(self, instance_id: str) -> bool:
        process = _process(instance_id)
        if process is None:
            return True
        _signal_group(process.pid, signal.SIGTERM)
        if await self._has_ended(instance_id, self._grace_s):
            return True
        log.warning("Killing runner %s, which did not end when asked", instance_id)
        _signal_group(process.pid, signal.SIGKILL)
        return await self._has_ended(instance_id, 5.0)

    async def _has_ended(self, instance_id: str, within_s: float) -> bool:
        for _ in range(max(1, int(within_s / 0.1))):
            self._collect_children()
            # a leader can be a zombie while its threads still end: then it is our child yet
            mine = int(instance_id.partition("-")[0]) in self._children
            if not mine and _process(instance_id) is None:
                return True
            await asyncio.sleep(0.1)
        return False

    def _start(self, launch: Launch) -> str:
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        work_dir = self._work_dir / launch.machine
        work_dir.mkdir(parents=True, exist_ok=True)
        # PyTorch's threads spin while they wait, which takes from whatever else this computer does
        env = {"OMP_WAIT_POLICY": "passive"}
        env |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= dict(launch.env)
        env |= {
            LABEL_VARIABLE: launch.label,
            "NOXFVR_DEADLINE_AT": str(launch.deadline_at),
            "NOXFVR_WORK_DIR": str(work_dir),
            "PYTHONUNBUFFERED": "1",
        }
        try:
            with (self._logs_dir / f"{launch.machine}.log").open("ab") as output:
                child = subprocess.Popen(
                    [sys.executable, "-m", "remote_runner", launch.orders_url],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=Path(__file__).parents[2],
                    start_new_session=True,
                )
        except OSError as error:
            raise ProviderError(f"the runner cannot be started: {error}") from error
        self._children[child.pid] = child
        return _instance_id(psutil.Process(child.pid))

    def _collect_children(self) -> None:
        # without this a child that ended stays in the table as a zombie
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


def device_name() -> str:
    """What this computer computes with: the first NVIDIA card, else the processor."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return answer.stdout.splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return f"CPU {platform.machine()} x{os.cpu_count() or 1}"


def _find_runners() -> list[Instance]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            label = process.environ().get(LABEL_VARIABLE)
            # a helper process of a runner inherits the label; only the group's leader is one
            if label and os.getpgid(process.pid) == process.pid:
                found.append(Instance(id=_instance_id(process), label=label))
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue  # ended meanwhile, or another user's: not ours
    return found


def _instance_id(process: psutil.Process) -> str:
    return f"{process.pid}-{process.create_time():.2f}"


def _process(instance_id: str) -> psutil.Process | None:
    """The process, where it still is the same one and alive."""
    try:
        process = psutil.Process(int(instance_id.partition("-")[0]))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process if alive and _instance_id(process) == instance_id else None
    except psutil.NoSuchProcess:
        return None


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        log.debug("Process group %d has ended", pid)

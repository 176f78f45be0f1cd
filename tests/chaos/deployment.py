"""A whole deployment as processes, with all that is needed to hurt it: two shapes of one thing."""

import asyncio
import contextlib
import math
import os
import re
import signal
import sys
import time
from pathlib import Path

import psutil

from controller.store import Store
from tests.chaos.proxy import FaultProxy
from tests.e2e.rented import Rented
from tests.e2e.story import ADMIN, ROOT, Story
from tests.standins.vast import make_offer

PEOPLE = (ADMIN, *range(201, 210))
MAX_MACHINES = 3
_LIMITS = {
    "NOXFVR_DAY_BUDGET": "1000", "NOXFVR_JOB_BUDGET": "100",
    "NOXFVR_MAX_MACHINES": str(MAX_MACHINES),
    "NOXFVR_IDLE_S": "5", "TELEGRAM_USERS": ",".join(map(str, PEOPLE)),
}  # fmt: skip
_STARTS_S = 60.0
_UP = "[Pp]ages, health and figures"


class Deployment(Story):
    """Sandbox, controller and what it starts. ``kills`` counts deaths of the controller."""

    def __init__(self, home: Path, *, proxied: bool = False, **env: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(home, **{**_LIMITS, **env})
        self.proxies: dict[str, FaultProxy] = {}
        """In front of each service outside, by the setting that holds its address."""
        self._proxied = proxied
        self._exits = contextlib.AsyncExitStack()
        self.kills = 0
        self.startup_s = 3.0
        """How long the last start took that was waited for."""
        self._started_at = 0.0
        self._started_from = 0
        self._is_timed = False
        self.lock = asyncio.Lock()
        """Held by whoever stops or starts the controller."""
        self._store: Store | None = None

    async def __aexit__(self, *exception):
        self.forget_store()
        await super().__aexit__(*exception)
        await self._exits.aclose()

    @property
    def secrets(self) -> list[str]:
        """What no log may show, beside what is known by its shape."""
        return []

    @property
    def store(self) -> Store:
        """The database as it is now, to look at."""
        if self._store is None:
            self._store = Store(self.settings.database, clock=time.time)
        return self._store

    def forget_store(self) -> None:
        """Nothing of the database is held open any more."""
        if self._store is not None:
            self._store.close()
            self._store = None

    async def start_bot(self) -> None:
        if self._proxied:
            await self._put_between("TELEGRAM_API_URL", self._url)
        log = self.home / "bot.log"
        self._started_from = log.stat().st_size if log.exists() else 0
        await super().start_bot()
        self._started_at = time.monotonic()
        self._is_timed = False

    def bot_env(self) -> dict[str, str]:
        addresses = {name: proxy.url for name, proxy in self.proxies.items()}
        return {**super().bot_env(), **addresses}

    async def _put_between(self, setting: str, url: str) -> None:
        if setting not in self.proxies:
            self.proxies[setting] = await self._exits.enter_async_context(FaultProxy(url))

    async def wait_until_up(self) -> None:
        """Until the controller that was started last works; on a busy machine that takes long."""
        up = await self.wait_for_log(_UP, _STARTS_S, since=self._started_from)
        if up and not self._is_timed:
            self.startup_s = time.monotonic() - self._started_at
            self._is_timed = True

    async def kill_bot(self) -> None:
        self.kills += 1
        await super().kill_bot()

    def is_up(self) -> bool:
        """Whether the controller's process lives: it never ends by itself."""
        return self._bot.returncode is None

    @contextlib.asynccontextmanager
    async def frozen(self):
        """The controller stands still, and everything else goes on."""
        self._bot.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._bot.send_signal(signal.SIGCONT)

    async def try_second(self) -> tuple[int, str]:
        """Start another controller on the same data directory: its exit code and what it said.

        The code is -1 where it was still running after a minute.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "bot", cwd=ROOT, env=self.bot_env(),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _STARTS_S)
        except TimeoutError:
            process.kill()
            await process.communicate()
            return -1, "it was still running"
        finally:
            process._transport.close()
        return process.returncode, output.decode()

    async def wait_for_log(self, pattern: str, timeout_s: float, since: int | None = None) -> bool:
        """Whether the controller's log shows such a line from byte ``since`` on, or from now."""
        log, wanted = self.home / "bot.log", re.compile(pattern.encode())
        offset = log.stat().st_size if since is None else since
        for _ in range(int(timeout_s / 0.02)):
            with log.open("rb") as file:
                file.seek(offset)
                if wanted.search(file.read()):
                    return True
            await asyncio.sleep(0.02)
        return False

    def machines(self) -> list[list[psutil.Process]]:
        """The processes of each machine; the first one is the runner, where there is one."""
        groups: dict[int, list[psutil.Process]] = {}
        for process in self.runners():
            with contextlib.suppress(ProcessLookupError):
                groups.setdefault(os.getpgid(process.pid), []).append(process)
        return [sorted(each, key=lambda p, g=group: p.pid != g) for group, each in groups.items()]

    def note_death(self, machine: list[psutil.Process]) -> None:
        """A runner of this machine is about to be killed."""

    def remains(self) -> list[str]:
        """What is still there of any machine."""
        return [f"process {each.pid}" for each in self.runners()]

    def billed_usd(self, label: str) -> float:
        """What the provider has billed for all that bears a label."""
        return 0.0

    def lives(self) -> list[tuple[float, float]]:
        """From when to when each machine was there, as its provider saw it."""
        return []

    def read_output(self, key: str) -> bytes | None:
        """An object of the storage, from outside; None where there is none."""
        path = self.settings.storage_dir / key
        return path.read_bytes() if path.is_file() else None

    def outputs(self) -> list[str]:
        """Keys below ``output/``."""
        return [each for each in self._keys() if each.startswith("output/")]

    def _keys(self) -> list[str]:
        root = self.settings.storage_dir
        return [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]


class LocalDeployment(Deployment):
    """This computer as the one machine, a folder as the storage."""

    name = "local"


class RentedDeployment(Deployment):
    """Stand-ins for Vast.ai and B2; the hosts are processes of this computer."""

    name = "rented"

    def __init__(self, home: Path, **options) -> None:
        super().__init__(home, **options)
        offers = [make_offer(gpu_name="RTX 5060 Ti", compute_cap=1200) for _ in range(40)]
        self.world = Rented(home, offers=offers)

    async def __aenter__(self):
        await self.world.__aenter__()
        self.vast, self.b2 = self.world.vast, self.world.b2
        own = {"NOXFVR_DATA_DIR", "NOXFVR_POLL_S", "HOME", "PATH"}
        rented = {name: value for name, value in self.world.env.items() if name not in own}
        self._env = {**rented, **self._env}
        if self._proxied:
            await self._put_between("VAST_URL", self.vast.url)
            await self._put_between("B2_ENDPOINT", self.b2.url)
        return await super().__aenter__()

    async def __aexit__(self, *exception):
        await super().__aexit__(*exception)
        await self.world.__aexit__(*exception)

    @property
    def secrets(self) -> list[str]:
        return [self.vast.account_key, self.b2.secret]

    def machines(self) -> list[list[psutil.Process]]:
        found = [instance.container.processes() for instance in self.vast.alive()]
        return [sorted(each, key=_is_no_runner) for each in found if each]

    def note_death(self, machine: list[psutil.Process]) -> None:
        # a host that failed is banned, and a search shows 64 offers: the market goes on
        for instance in self.vast.alive():
            if {each.pid for each in machine} & {p.pid for p in instance.container.processes()}:
                self.vast.offers.pop(instance.offer["id"], None)
                self.vast.add_offer(gpu_name="RTX 5060 Ti", compute_cap=1200)

    def remains(self) -> list[str]:
        alive = [f"instance {each.id}" for each in self.vast.alive()]
        every = self.vast.instances.values()
        left = [p.pid for each in every if each.gone for p in each.container.processes()]
        return alive + [f"process {pid} of a destroyed instance" for pid in left]

    def billed_usd(self, label: str) -> float:
        bills = self.vast.ledger().instances
        return sum(
            bills[n].total for n, each in self.vast.instances.items() if each.label == label
        )

    def lives(self) -> list[tuple[float, float]]:
        return [
            (each.born, math.inf if each.gone is None else each.gone)
            for each in self.vast.instances.values()
        ]

    def read_output(self, key: str) -> bytes | None:
        return self.b2.get(key) if key in self.b2.keys(key) else None

    def outputs(self) -> list[str]:
        return self.b2.keys("output/")


def _is_no_runner(process: psutil.Process) -> bool:
    try:
        return "remote_runner" not in process.cmdline()
    except psutil.Error:
        return True

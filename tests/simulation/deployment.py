"""One installation of the program: its lives, one after another, on one data directory."""

import asyncio
import contextlib
import contextvars
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bot.dispatcher import run_bot
from bot.screen.pace import Pace
from bot.settings import BotSettings
from controller.errors import AlreadyRunning, BadVideo
from controller.loops.webhook import sign
from controller.probe import ProbeError
from controller.service import Controller
from controller.settings import Settings
from controller.wiring import Outside, open_controller
from remote_runner.protocol import Facts, Reason, from_json
from tests.simulation.database import Disk
from tests.simulation.faults import Fault, Faults
from tests.simulation.loop import LIFE, SimLoop
from tests.simulation.outside.local import SimComputer, SimLocalProvider
from tests.simulation.outside.storage import Refused, SimObjects, SimStorage
from tests.simulation.outside.telegram import SimSession, SimTelegram
from tests.simulation.outside.vast import SimVast
from tests.simulation.outside.vast_http import make_provider
from tests.simulation.process import Process

STORAGE_FATES = (
    Fault.STORAGE_REQUEST_LOST,
    Fault.STORAGE_ANSWER_LOST,
    Fault.STORAGE_IN_FLIGHT,
)
WEBHOOK = "https://hooks.example.org/noxfvr"
_PASSES_TO_END = 500


class Life:
    """The program from its start to its end, however that comes about."""

    def __init__(
        self,
        place: "Deployment",
        *,
        has_bot: bool = True,
        only_look: bool = False,
        errand: Callable[[Controller], Awaitable[None]] | None = None,
    ) -> None:
        self.place = place
        self.has_bot = has_bot
        self.only_look = only_look
        self.errand = errand
        """What it does where it has no bot."""
        self.controller = None
        self.over = asyncio.Event()
        self.process = Process(place.faults, at_point=place.at_point, spawn=place.loop.spawn)
        self.process.on_death.append(self.over.set)
        context = contextvars.Context()
        context.run(LIFE.set, self.process)
        self.task = place.loop.create_task(self._run(), context=context)
        self.task.add_done_callback(lambda _: self.over.set())

    async def end(self) -> BaseException | None:
        """See it out: nothing of it runs afterwards. What it ended with, if that was an error."""
        left = _read_files(self.place.settings.work_dir) if not self.process.alive else {}
        for _ in range(_PASSES_TO_END):
            if not (tasks := self.place.loop.tasks_of(self.process)):
                break
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        else:
            raise RuntimeError(f"a life does not end: {tasks}")
        self.place.loop.forget(self.process)
        # whoever is killed tidies nothing up
        _write_files(left)
        if self.task.cancelled() or not self.process.alive:
            return None
        return self.task.exception()

    async def stop(self) -> None:
        """SIGTERM: an orderly end, in a while."""
        self.task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await self.over.wait()

    async def _run(self) -> None:
        place = self.place
        opened = open_controller(
            place.settings,
            clock=place.clock,
            must_own=self.has_bot,
            only_look=self.only_look,
            outside=place.outside(self.process),
        )
        async with opened as controller:
            self.controller = controller
            if self.has_bot:
                session = SimSession(self.process, place.telegram)
                await run_bot(
                    controller, place.bot_settings, pace=place.pace, session=session,
                    serve=_serve_nothing,
                )  # fmt: skip
            else:
                if self.errand is not None:
                    await self.errand(controller)
                await asyncio.Event().wait()


class Deployment:
    """What survives its lives, and what starts a next one: a service manager."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        bot_settings: BotSettings,
        *,
        loop: SimLoop,
        faults: Faults,
        clock: Callable[[], float],
        disk: Disk,
        vast: SimVast,
        objects: SimObjects,
        telegram: SimTelegram,
        tell: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.settings, self.bot_settings = settings, bot_settings
        self.loop, self.faults, self.clock, self.disk = loop, faults, clock, disk
        self.vast, self.objects, self.telegram = vast, objects, telegram
        self.computer = SimComputer(vast)
        self.at_point: Callable[[Process, str], None] | None = None
        self.pace = Pace()
        self.tell = tell
        self.life: Life | None = None
        self.lives = 0
        self.kills = 0
        self.on_failure: Callable[[BaseException], None] = lambda failure: None
        """Called with what ended a life by itself."""
        self.told: list[dict] = []
        """What the webhook was told."""
        self.on_told: Callable[[bytes], None] = lambda body: None
        self.before_start: Callable[[], None] = lambda: None
        """Something that happens to the data directory while nothing runs."""
        self.wait_s: Callable[[], float] = lambda: faults.after(1, 20)
        self._keeper: asyncio.Task | None = None

    def outside(self, process: Process) -> Outside:
        """All ways out of the process, into this world."""

        def build_storage(settings, *, clock):
            return SimStorage(process, self.objects, clock, work_dir=settings.work_dir)

        def build_provider(settings, *, deployment, clock):
            if settings.provider == "local":
                return SimLocalProvider(process, self.computer, deployment)
            return make_provider(process, self.vast, deployment, clock)

        async def probe(source, limits):
            return await read_facts(process, self.objects, source)

        async def post(url, body, headers):
            return await process.exchange(
                "post webhook",
                lambda: self._take(body, headers),
                lost=TimeoutError,
                fates=STORAGE_FATES,
            )

        return Outside(storage=build_storage, provider=build_provider, prober=probe, post=post)

    def start(self) -> None:
        """Keep it running from now on."""
        self._keeper = self.loop.spawn(self._keep_running())

    async def stop(self) -> None:
        """No life after this one."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None  # its end has a traceback, with the last life in it
        if self.life is not None:
            self.life.process.kill()
            await self.life.end()
            self.life = None

    async def restart(self) -> None:
        """In an orderly way."""
        if self.life is not None:
            await self.life.stop()

    def kill(self, fault: Fault = Fault.CRASH) -> None:
        """Now, wherever it is."""
        if self.life is not None:
            self.disk.loses_power = fault is Fault.POWER_LOSS
            self.life.process.kill()
            self.disk.loses_power = False
        if fault is Fault.POWER_LOSS:
            self.computer.lose_power()

    @property
    def controller(self):
        """Of the life that runs; None between two."""
        life = self.life
        return life.controller if life is not None and life.process.alive else None

    async def _keep_running(self) -> None:
        while True:
            self.before_start()
            self.lives += 1
            self.life = life = Life(self)
            await life.over.wait()
            killed = not life.process.alive
            failure = await life.end()
            self.life = None
            self.kills += killed
            if failure is not None and not isinstance(failure, AlreadyRunning):
                self.on_failure(failure)
            # not what an error says: that may name the folder, which is another one each time
            why = type(failure).__name__ if failure is not None else "asked"
            self.tell(f"ended: {'killed' if killed else why}")
            await asyncio.sleep(self.wait_s())

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        """What the webhook answers. It believes nothing that is not signed."""
        stamp, signature = headers["X-Noxfvr-Timestamp"], headers["X-Noxfvr-Signature"]
        assert signature == sign(self.settings.webhook_secret, stamp, body)
        if self.faults.hit(Fault.WEBHOOK_REFUSED, ("ended",)):
            return self.faults.rng.choice((410, 500))
        self.on_told(body)
        self.told.append(json.loads(body))
        return 200


async def read_facts(process: Process, objects: SimObjects, source: Path | str) -> Facts:
    """Here a video is a document that holds its own facts."""
    try:
        if isinstance(source, Path):
            return from_json(Facts, source.read_text())
        data = await process.exchange(
            "probe", lambda: objects.get(source), lost=_no_answer, fates=STORAGE_FATES
        )
        return from_json(Facts, data)
    except Refused as error:
        raise ProbeError(str(error)) from None
    except ValueError as error:
        raise BadVideo(Reason.NOT_A_VIDEO, str(error)) from None


def _no_answer() -> Exception:
    return ProbeError("it could not be read in time")


@asynccontextmanager
async def _serve_nothing(*_):
    # pages have tests of their own, over real HTTP
    yield ""


def _read_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _write_files(files: dict[Path, bytes]) -> None:
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

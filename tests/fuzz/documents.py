"""Documents that machines write, bent and broken, into the controller's loops and people's cards.

Whatever lies where a status, a result, a boot report, a log or an output is expected: the loops go
on, a job is done only with an object that is what its record says, and its card can be drawn.
"""

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

from bot.cards.ended import draw_done, draw_failed
from bot.cards.progress import draw_running
from bot.cards.results import draw_caption
from bot.cards.view import Snapshot
from bot.texts import Texts
from controller.loops.publish import mismatch
from controller.providers.base import InstanceStatus
from controller.records import TERMINAL, Actor
from controller.states import JobState
from remote_runner.protocol import (
    Boot,
    BootPhase,
    Check,
    Outcome,
    Phase,
    Reason,
    Result,
    Status,
)
from tests.controller.conftest import FACTS, Clock, House, read_facts, video
from tests.controller.standins import RentedProvider, ScriptedProvider, make_offer
from tests.fuzz.bending import bend, spoil, write
from tests.fuzz.tally import Case, Kind, Tally

OWNER = 7
OUTPUT = video(width=640, height=360)
_TEXTS = Texts()
_CASES_A_HOUSE = 60
_LONGEST_TEXT = 4096


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    asyncio.run(_run(tally, list(numbers), folder))


async def _run(tally: Tally, numbers: list[int], folder: Path) -> None:
    for start in range(0, len(numbers), _CASES_A_HOUSE):
        # every second house rents
        provider = make_market() if start // _CASES_A_HOUSE % 2 else ScriptedProvider()
        house = House(folder / f"house-{start}", Clock(), provider)
        house.settings = dataclasses.replace(house.settings, day_budget=1e6, idle_s=0)
        house.restart()
        for number in numbers[start : start + _CASES_A_HOUSE]:
            with tally.case(number) as case:
                await _try(case, house)
        house.store.close()


def make_market() -> RentedProvider:
    """So many hosts that a few bad ones are not missed."""
    provider = RentedProvider()
    provider.credit = 1e6
    provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(200)]
    return provider


async def _try(case: Case, house: House) -> None:
    job = await house.queued(f"{case.number}.mp4", owner=OWNER)
    machine = await _rent(house, job)
    deed = case.rng.choice(_DEEDS)
    case.told = deed.__name__.strip("_")
    await deed(case, house, job, machine)
    _draw(house, job)
    await _end(house, job)
    _check_published(house, job)


async def _rent(house: House, job):
    """The machine that works on the job, up and with its orders."""
    for _ in range(4):
        await house.tick()
        attempt = house.controller.attempt(job.id)
        if attempt is not None:
            if house.provider.rents:
                for each in house.provider.alive:
                    house.provider.show(each, status=InstanceStatus.RUNNING)
            await house.tick()
            return house.store.machines.get(attempt.machine)
    raise AssertionError("the job found no machine")


async def _end(house: House, job) -> None:
    """The job comes to its end, and nothing of it is left running."""
    current = house.job(job)
    if not current.state.is_terminal:
        house.controller.cancel(job.id, by=Actor(OWNER))
    for _ in range(12):
        await house.tick(90)
        if house.job(job).state.is_terminal and not house.provider.alive:
            break
    assert house.job(job).state.is_terminal, house.job(job).state
    assert not house.provider.alive, "a machine is left"


def _check_published(house: House, job) -> None:
    job = house.job(job)
    there = list(house.settings.storage_dir.glob(f"output/*_{job.short_id}.*"))
    if job.state is not JobState.DONE:
        assert not there, f"the job is {job.state}, and {there} is published"
        return
    path = house.settings.storage_dir / job.output_key
    assert there == [path], there
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (job.output_bytes, job.output_sha256)
    assert job.sha256_by == "controller"


def _draw(house: House, job) -> None:
    """The card, in both languages, whatever a machine says."""
    job = house.job(job)
    shot = Snapshot(
        job=job, now=house.clock(), attempts=tuple(house.controller.attempts(job.id)),
        spent_usd=house.controller.spent_usd(job),
    )  # fmt: skip
    draw = {JobState.RUNNING: draw_running, JobState.DONE: draw_done}.get(job.state, draw_failed)
    for language in ("ru", "en"):
        view = draw(shot, _TEXTS[language])
        assert len(view.text) <= _LONGEST_TEXT, len(view.text)
        if job.state is JobState.DONE:
            draw_caption(job, _TEXTS[language]).as_kwargs()


# --- one place after the other ---------------------------------------------------------------


def _broken(case: Case, document: dict) -> bytes:
    """Bent in its values, or spoilt as a text."""
    if case.rng.random() < 0.7:
        data = write(bend(document, case.rng))
    else:
        data = spoil(write(document), case.rng)
    case.told += f": {data[:200]!r}"
    return data


async def _status(case: Case, house: House, job, machine) -> None:
    """The next sign of life is odd; a proper end is published all the same."""
    grant = house.runner.grant(machine)
    good = Status(
        sequence=5, heartbeat_at=house.clock(), phase=Phase.PROCESSING, job=grant.job,
        attempt=grant.attempt, done=10, total=240, fps=12.0, eta_s=19.2, device="RTX 3060",
        vram_free=10**9, segments=1,
    )  # fmt: skip
    put(grant.status_url, _broken(case, dataclasses.asdict(good)))
    await house.tick(5)
    attempt = house.controller.attempt(job.id)
    assert not attempt.state.is_terminal, f"it ended: {attempt.reason} {attempt.detail}"
    if attempt.status is None:
        case.refuse("ignored")
    else:
        case.accept()
    _draw(house, job)
    house.runner.heartbeat(machine, phase=Phase.UPLOADING)
    house.runner.finish(machine, OUTPUT)
    await house.tick(5)
    await house.tick(40)
    assert house.job(job).state is JobState.DONE, house.controller.attempt(job.id)


async def _result(case: Case, house: House, job, machine) -> None:
    grant = house.runner.grant(machine)
    house.runner.heartbeat(machine, phase=Phase.UPLOADING)
    put(grant.output_url, OUTPUT)
    put(grant.result_url, _broken(case, dataclasses.asdict(make_result(case, grant))))
    await _look(case, house, job)


async def _output(case: Case, house: House, job, machine) -> None:
    """The result tells the truth of an output that is not what was asked for."""
    facts = dataclasses.asdict(dataclasses.replace(FACTS, width=640, height=360))
    # the prober writes no halves of characters
    data = _broken(case, facts).replace(b"\\ud800", b"?")
    house.runner.heartbeat(machine, phase=Phase.UPLOADING)
    house.runner.finish(machine, data)
    await _look(case, house, job)
    if house.job(job).state is JobState.DONE:
        path = house.settings.storage_dir / house.job(job).output_key
        assert mismatch(job, await read_facts(path, None)) is None


async def _boot(case: Case, house: House, job, machine) -> None:
    good = Boot(phase=case.rng.choice(list(BootPhase)), device="RTX 3060", detail="x" * 20)
    path = house.settings.storage_dir / "machines" / machine.id / "boot"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_broken(case, dataclasses.asdict(good)))
    await _look(case, house, job)


async def _log(case: Case, house: House, job, machine) -> None:
    grant = house.runner.grant(machine)
    text = "\n".join(f"[PROGRESS] {n}% | 12.3 fps" for n in range(20)).encode()
    put(grant.log_url, spoil(text, case.rng))
    lines = await house.controller.logs(job.id, by=TERMINAL)
    assert all(isinstance(line, str) for line in lines)
    case.accept()


async def _look(case: Case, house: House, job) -> None:
    await house.tick(5)
    await house.tick(40)
    attempt = house.controller.attempts(job.id)[0]
    if attempt.state.is_terminal and attempt.reason is not None:
        case.refuse(attempt.reason)
    else:
        case.accept()


_DEEDS = (_status, _status, _status, _result, _result, _result, _output, _output, _boot, _log)


def make_result(case: Case, grant) -> Result:
    """As a runner writes one that was successful, has failed or was stopped."""
    outcome = case.rng.choice((Outcome.DONE, Outcome.DONE, Outcome.DONE, *Outcome))
    return Result(
        job=grant.job, attempt=grant.attempt, outcome=outcome,
        reason=Reason.ENCODER_FAILED if outcome is Outcome.FAILED else None, detail="x",
        sha256=hashlib.sha256(OUTPUT).hexdigest(), bytes=len(OUTPUT), extension="mp4",
        facts=dataclasses.replace(FACTS, width=640, height=360),
        checks=(Check(name="duration", passed=True, detail=""),), kept=("audio:aac/rus",),
        dropped=("subtitle:ass",), notes=("matrix_assumed:bt709", "scene_cuts:3"), model="starter",
        device="RTX 3060", fps=12.0, resumed_frames=10, clip_bytes=1000, peak_memory=2**31,
        timings={"processing": 4.0, "fetching": 1.5},
    )  # fmt: skip


def put(url: str, data: bytes) -> None:
    path = Path(url.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


KINDS = (
    Kind(name="documents", count=600, quick=20, run=run, must_accept=0.15, must_refuse=0.2),
)  # fmt: skip

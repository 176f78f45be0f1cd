"""The rows of a controller that was busy before: jobs that run, each on a machine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from ulid import ULID

from controller import policy
from controller.assembly import build_context
from controller.loops.context import Context
from controller.loops.renting import Rent, assign
from controller.providers.base import Offer
from controller.records import Job
from controller.settings import Settings
from controller.states import JobState, MachineState
from remote_runner.protocol import Facts, Task

OWNERS = 40
FACTS = Facts(
    container="mp4", bytes=240_000_000, duration_s=600.0, width=1280, height=720, rotation=0,
    sar="1:1", fps="24/1", vfr=False, frames=14_400, codec="h264", pix_fmt="yuv420p",
    bit_depth=8, matrix="bt709", range="limited", transfer="bt709", interlaced=False,
    audio=("aac/rus",), subtitles=(), chapters=0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One job on one machine, as the world around the controller has to know it."""

    machine: str
    label: str


def write_rows(settings: Settings, count: int) -> list[Seat]:
    """As many assigned jobs; their machines are committed, and not known to be created."""
    context = build_context(settings)
    try:
        return [_write_seat(context, number) for number in range(count)]
    finally:
        asyncio.run(_close(context))


def enter_instances(settings: Settings, instances: Mapping[str, int]) -> None:
    """Their create calls were answered, and they have come up. ``instances``: id by label."""
    context = build_context(settings)
    machines, now = context.store.machines, context.clock()
    try:
        with context.store.transaction():
            for machine in machines.select([MachineState.RENTING]):
                instance = str(instances[machine.label])
                created = machines.move(machine, MachineState.BOOTING, instance=instance)
                assert created is not None
                assert machines.move(created, MachineState.BUSY, booted_at=now, running_at=now)
    finally:
        asyncio.run(_close(context))


def _write_seat(context: Context, number: int) -> Seat:
    offer = Offer(
        id=str(number), name="RTX 3060", usd_per_hour=0.06, machine_id=str(20_000 + number)
    )
    job = context.store.jobs.add(_new_job(context, number), "queued")
    machine = Rent(context).new_machine(offer, job)
    with context.store.transaction():
        assert assign(context, job, machine, add=True, traffic_usd=machine.traffic_usd)
    return Seat(machine=machine.id, label=machine.label)


def _new_job(context: Context, number: int) -> Job:
    now = context.clock()
    return Job(
        id=str(ULID()), request_key=f"load:{number}", owner=1 + number % OWNERS, chat=None,
        reply_to=None, language="en", state=JobState.QUEUED, version=1, task=Task(scale=2),
        source_key=f"input/load/clip-{number:04}.mp4", source_name=f"clip-{number:04}.mp4",
        source_bytes=FACTS.bytes, source_is_ours=False, facts=FACTS, created_at=now,
        deadline_at=now + policy.QUEUE_S, started_at=now, ended_at=None,
        cancel_requested_at=None, not_before=0.0, attempts=0, reason=None, detail="",
        output_key=None, output_bytes=None, output_sha256=None, sha256_by=None, result=None,
        cost_usd=0.0,
    )  # fmt: skip


async def _close(context: Context) -> None:
    await context.provider.close()
    await context.storage.close()
    context.store.close()

"""Stand-ins for what is outside the controller: a provider of machines, and the runner on one."""

import hashlib
from collections import deque
from pathlib import Path

from controller.errors import ProviderError, Unclear
from controller.providers.base import Instance, Offer
from remote_runner.protocol import (
    Check,
    Grant,
    Orders,
    Outcome,
    Phase,
    Reason,
    Result,
    Status,
    from_json,
    to_json,
)


class ScriptedProvider:
    """Keeps machines in memory; ``faults`` are used up call by call."""

    name = "scripted"
    settle_s = 0.0
    silence_s = 60.0
    boot_s = 120.0

    def __init__(self) -> None:
        self.alive: dict[str, Instance] = {}
        self.launches = []
        self.destroyed = []
        self.price = 0.05
        self.create_faults: deque[str] = deque()
        self.list_faults: deque[str] = deque()
        self.destroy_faults: deque[str] = deque()
        self._number = 0

    async def offers(self):
        return [Offer(id="1", name="RTX 3060", usd_per_hour=self.price)]

    async def create(self, offer, launch):
        self.launches.append(launch)
        fault = self.create_faults.popleft() if self.create_faults else ""
        if fault == "refused":
            raise ProviderError("the offer is gone")
        if fault != "lost_request":
            self._number += 1
            instance = Instance(id=f"i{self._number}", label=launch.label)
            self.alive[instance.id] = instance
        if fault in ("lost_request", "lost_answer"):
            raise Unclear("no answer")
        return instance.id

    async def instances(self):
        if self.list_faults:
            self.list_faults.popleft()
            raise Unclear("no complete listing")
        return list(self.alive.values())

    async def destroy(self, instance_id):
        fault = self.destroy_faults.popleft() if self.destroy_faults else ""
        if fault == "unclear":
            raise Unclear("no answer")
        self.destroyed.append(instance_id)
        if fault != "lies":
            self.alive.pop(instance_id, None)


class ScriptedRunner:
    """Reads orders and writes status and result as the real one does, on command."""

    def __init__(self, root: Path, clock) -> None:
        self._root = root
        self._clock = clock
        self._sequence = 0

    def orders(self, machine) -> Orders:
        return from_json(Orders, (self._root / "machines" / machine.id / "orders").read_bytes())

    def grant(self, machine) -> Grant:
        orders = self.orders(machine)
        path = self._root / "jobs" / orders.job / str(orders.attempt) / "grant"
        return from_json(Grant, path.read_bytes())

    def heartbeat(self, machine, phase=Phase.PROCESSING, done=10, total=240) -> None:
        grant = self.grant(machine)
        self._sequence += 1
        status = Status(
            sequence=self._sequence, heartbeat_at=self._clock(), phase=phase, job=grant.job,
            attempt=grant.attempt, done=done, total=total, fps=12.0,
        )  # fmt: skip
        _put(grant.status_url, to_json(status).encode())

    def idle(self, machine) -> None:
        self._sequence += 1
        status = Status(sequence=self._sequence, heartbeat_at=self._clock(), phase=Phase.IDLE)
        _put(self.orders(machine).status_url, to_json(status).encode())

    def finish(self, machine, output: bytes, *, grant: Grant | None = None, **changes) -> None:
        grant = grant or self.grant(machine)
        _put(grant.output_url, output)
        values = {
            "job": grant.job, "attempt": grant.attempt, "outcome": Outcome.DONE,
            "sha256": hashlib.sha256(output).hexdigest(), "bytes": len(output),
            "extension": "mp4", "checks": (Check(name="duration", passed=True, detail=""),),
            "device": "CPU", "timings": {"processing": 4.0},
        }  # fmt: skip
        _put(grant.result_url, to_json(Result(**values | changes)).encode())

    def fail(self, machine, reason: Reason) -> None:
        grant = self.grant(machine)
        result = Result(
            job=grant.job, attempt=grant.attempt, outcome=Outcome.FAILED, reason=reason, detail="x"
        )
        _put(grant.result_url, to_json(result).encode())

    def cancelled(self, machine) -> None:
        grant = self.grant(machine)
        result = Result(job=grant.job, attempt=grant.attempt, outcome=Outcome.CANCELLED)
        _put(grant.result_url, to_json(result).encode())

    def babble(self, machine, name: str) -> None:
        grant = self.grant(machine)
        _put({"status": grant.status_url, "result": grant.result_url}[name], b"\xff{no json")


def _put(url: str, data: bytes) -> None:
    path = Path(url.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

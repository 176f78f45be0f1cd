"""Stand-ins for what is outside the controller: a provider of machines, and the runner on one."""

import dataclasses
import hashlib
from collections import deque
from pathlib import Path

from controller.errors import OfferGone, Unclear
from controller.providers.base import Instance, InstanceStatus, Offer
from remote_runner.protocol import (
    Boot,
    BootPhase,
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
    rents = False
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

    async def offers(self, need):
        return [Offer(id="1", name="RTX 3060", usd_per_hour=self.price)]

    async def logs(self, instance_id, lines):
        return None

    async def credit_usd(self):
        return None

    async def create(self, offer, launch):
        self.launches.append(launch)
        fault = self.create_faults.popleft() if self.create_faults else ""
        if fault == "refused":
            raise OfferGone("the offer is gone")
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

    async def destroy(self, instance_ids):
        gone = set()
        for instance_id in instance_ids:
            fault = self.destroy_faults.popleft() if self.destroy_faults else ""
            if fault == "unclear":
                continue
            self.destroyed.append(instance_id)
            gone.add(instance_id)
            if fault != "lies":
                self.alive.pop(instance_id, None)
        return gone


class RentedProvider(ScriptedProvider):
    """Other people's machines: with facts, prices, states of their own, a log and a purse."""

    rents = True
    settle_s = 60.0
    silence_s = 300.0
    boot_s = 300.0

    def __init__(self) -> None:
        super().__init__()
        self.market = [make_offer()]
        self.searches = []
        self.credit: float | None = 10.0
        self.printed: dict[str, list[str]] = {}
        self.log_faults: deque[str] = deque()

    async def offers(self, need):
        self.searches.append(need)
        cap = need.max_usd_per_hour
        return [o for o in self.market if cap is None or o.usd_per_hour <= cap]

    async def create(self, offer, launch):
        instance = await super().create(offer, launch)
        self.show(instance, status=InstanceStatus.CREATED, usd_per_hour=offer.usd_per_hour)
        return instance

    async def logs(self, instance_id, lines):
        if self.log_faults:
            self.log_faults.popleft()
            raise Unclear("no log")
        return self.printed.get(instance_id, [])[-lines:] or None

    async def credit_usd(self):
        return self.credit

    def show(self, instance_id, **changes) -> None:
        """What the next listings say of an instance."""
        self.alive[instance_id] = dataclasses.replace(self.alive[instance_id], **changes)


def make_offer(**changes) -> Offer:
    values = {
        "id": "1", "name": "RTX 3060", "usd_per_hour": 0.06, "machine_id": "m1", "gpus": 1,
        "gpu_ram_gb": 12.0, "compute_capability": 8.6, "cuda": 12.8, "tflops": 12.7,
        "cpu_cores": 8.0, "ram_gb": 32.0, "disk_gb": 200.0, "down_mbps": 500.0, "up_mbps": 200.0,
        "reliability": 0.99, "duration_s": 30 * 86400.0,
    }  # fmt: skip
    return Offer(**values | changes)


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

    def heartbeat(self, machine, phase=Phase.PROCESSING, done=10, total=240, **more) -> None:
        grant = self.grant(machine)
        self._sequence += 1
        status = Status(
            sequence=self._sequence, heartbeat_at=self._clock(), phase=phase, job=grant.job,
            attempt=grant.attempt, done=done, total=total, fps=12.0, **more,
        )  # fmt: skip
        _put(grant.status_url, to_json(status).encode())

    def idle(self, machine) -> None:
        self._sequence += 1
        status = Status(sequence=self._sequence, heartbeat_at=self._clock(), phase=Phase.IDLE)
        _put(self.orders(machine).status_url, to_json(status).encode())

    def leave_segment(self, machine, number: int, content: bytes = b"frames") -> None:
        """Content, then manifest, as a runner does that has finished a segment."""
        urls = self.grant(machine).segments[number]
        _put(urls.content_url, content)
        _put(urls.manifest_url, b"{}")

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

    def boot(self, machine, phase=BootPhase.ARMED, **changes) -> None:
        path = self._root / "machines" / machine.id / "boot"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(Boot(phase=phase, **changes)))

    def babble(self, machine, name: str) -> None:
        grant = self.grant(machine)
        _put({"status": grant.status_url, "result": grant.result_url}[name], b"\xff{no json")


def _put(url: str, data: bytes) -> None:
    path = Path(url.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

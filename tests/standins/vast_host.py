"""One rented instance of the Vast.ai stand-in: its states, its processes, its log, its bill."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from tests.standins.vast_container import Container
from tests.standins.vast_manners import Manners
from tests.standins.vast_market import Row, hourly_disk

LINE_AT_MOST = 500
_BILLED = ("running", "frozen", "rebooting", "recycling", "restarting")
_STUCK = {
    "stuck_loading": "5f70bf18a086: Downloading [====>      ]  412.3MB/3.1GB",
    "slow_unpack": "5f70bf18a086: Pull complete",
    "manifest_unknown": "Error response from daemon: manifest unknown: manifest unknown",
    "tls_timeout": "Error response from daemon: Get https://registry/v2/: "
    "net/http: TLS handshake timeout",
}


@dataclass(slots=True, kw_only=True)
class Bill:
    """$ so far."""

    gpu: float = 0.0
    disk: float = 0.0
    traffic: float = 0.0

    @property
    def total(self) -> float:
        return self.gpu + self.disk + self.traffic


class HostedInstance:
    """``actual``, ``intended``, ``cur``, ``next`` and ``status_msg`` are what the API shows.

    ``restarts`` counts how often the container was started again, ``starts`` all starts.
    """

    def __init__(
        self, number: int, key: str, offer: Row, body: Row, manners: Manners, root: Path
    ) -> None:
        self.id = number
        self.key = key
        self.offer = offer
        self.body = body
        self.label: str = body.get("label") or ""
        self.price: float = manners.price_after.get(offer["machine_id"], offer["dph_base"])
        if body.get("price") is not None:
            self.price = body["price"]
        self.actual: str | None = None
        self.offline = False
        """Whether the host is cut off: then ``actual`` is what nobody can see."""
        self.intended = self.cur = self.next = "running"
        self.status_msg: str | None = None
        self.daemon_log: list[str] = []
        self.queued = False
        """Whether it waits for its GPU: it starts, and costs, whenever that is free."""
        self.starts = 0
        self.created_at = time.time()
        self.born = self._billed_at = time.monotonic()
        self.gone: float | None = None
        """When it was destroyed, on the monotonic clock."""
        self.gb_down = self.gb_up = 0.0
        self.last_upload: str | None = None
        """Of its log."""
        self.container = Container(
            root / str(number), root / f"{number}.log", self._environment(manners)
        )
        self._manners = manners
        self._bill = Bill()
        self._life: asyncio.Task[None] | None = None
        self._mishap: asyncio.Task[None] | None = None

    @property
    def machine_id(self) -> int:
        return int(self.offer["machine_id"])

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    @property
    def holds_gpu(self) -> bool:
        wanted = self.intended == "running" and not self.queued
        return self.gone is None and (wanted or self.cur == "running")

    @property
    def directory(self) -> Path:
        return self.container.directory

    @property
    def log_path(self) -> Path:
        return self.container.log_path

    def start(self) -> None:
        """From nothing, as after a create or a start."""
        self.accrue()
        self.queued = False
        self.intended = self.cur = self.next = "running"
        self._life = asyncio.create_task(self._live())

    def queue(self) -> None:
        """Wanted to run, and waits for the GPU."""
        self.set(self.actual, "Required resources are currently unavailable")
        self.intended = self.next = "running"
        self.queued = True

    async def stop(self) -> None:
        """Stopped, by whomever; the disk stays and costs."""
        self.accrue()
        self.queued = False
        self.intended = self.cur = self.next = "stopped"
        await self.halt()
        if self.actual is not None:
            self.set("exited")

    async def restart(self, transient: str) -> None:
        await self.halt()
        self.set(transient)
        self.start()

    def set_offline(self, offline: bool) -> None:
        """The host is cut off; what runs there runs on."""
        self.accrue()
        self.offline = offline

    def say(self, text: str) -> None:
        """As if the container had printed it."""
        with self.log_path.open("a") as log:
            log.write(text if text.endswith("\n") else text + "\n")

    def log(self) -> str:
        """All that the container printed; still there after the instance is destroyed."""
        return self.log_path.read_text(errors="replace")

    async def halt(self) -> None:
        """End whatever goes on there, to the last process."""
        tasks = {self._life, self._mishap} - {None, asyncio.current_task()}
        self._life = self._mishap = None
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        if self._manners.runs:
            await self.container.kill()

    def set(self, actual: str | None, status_msg: str | None = None) -> None:
        self.accrue()
        self.actual = actual
        if status_msg is not None:
            self.status_msg = status_msg

    def accrue(self) -> None:
        """GPU while it is held by a container, disk always; neither of a host that is away."""
        now = time.monotonic()
        hours = (now - self._billed_at) * self._manners.money_scale / 3600
        self._billed_at = now
        if self.gone is not None or self.offline:
            return
        self._bill.disk += hours * hourly_disk(self.offer, self.body["disk"])
        looping = self.actual == "exited" and self.intended == "running"
        if self.cur == "running" and (self.actual in _BILLED or looping):
            self._bill.gpu += hours * self.price

    def bill(self) -> Bill:
        self.accrue()
        traffic = self.gb_down * self.offer["inet_down_cost"]
        traffic += self.gb_up * self.offer["inet_up_cost"]
        return Bill(gpu=self._bill.gpu, disk=self._bill.disk, traffic=traffic)

    def row(self) -> Row:
        """As a listing shows it, quirks and all."""
        offer, disk_gb = self.offer, self.body["disk"]
        disk = hourly_disk(offer, disk_gb)
        copied = (
            "machine_id", "host_id", "gpu_name", "num_gpus", "gpu_ram", "gpu_total_ram", "min_bid",
            "cpu_cores", "cpu_cores_effective", "cpu_ram", "cpu_name", "storage_cost",
            "inet_up_cost", "inet_down_cost", "inet_up", "inet_down", "reliability2",
            "verification", "geolocation", "compute_cap", "cuda_max_good", "driver_version",
            "end_date", "duration", "direct_port_count", "public_ipaddr", "disk_bw",
        )  # fmt: skip
        return {name: offer[name] for name in copied} | {
            "id": self.id, "label": self.label or None,
            "actual_status": "offline" if self.offline else self.actual,
            "intended_status": self.intended, "cur_state": self.cur, "next_state": self.next,
            "status_msg": self.status_msg, "is_bid": self.body.get("price") is not None,
            "image_uuid": self.body["image"], "image_runtype": self.body["runtype"],
            "image_args": self.body.get("args") or [], "onstart": self.body.get("onstart"),
            "extra_env": [list(pair) for pair in self.body["env"].items()],
            "start_date": self.created_at, "uptime_mins": None,
            "dph_base": self.price, "dph_total": self.price + disk, "storage_total_cost": disk,
            "inet_up_billed": int(self.gb_up * 1e9 / 1024) or None,
            "inet_down_billed": int(self.gb_down * 1e9 / 1024) or None,
            "gpu_util": 0.0, "gpu_temp": 39.0, "cpu_util": 0.0, "disk_space": disk_gb,
            "disk_usage": -1, "disk_util": -1, "mem_usage": 0.1, "mem_limit": 15.7,
            "ssh_host": "ssh5.vast.ai", "ssh_port": 10600, "ports": None, "volume_info": [],
            "local_ipaddrs": "10.0.0.5 172.17.0.2 \n",
            "direct_port_start": -1, "direct_port_end": -1,
        }  # fmt: skip

    def _environment(self, manners: Manners) -> dict[str, str]:
        env = {name: value for name, value in self.body["env"].items() if name[0] != "-"}
        key = {"CONTAINER_API_KEY": self.key} if manners.container_key else {}
        return (
            manners.host_env
            | env
            | {"CONTAINER_ID": str(self.id), "VAST_CONTAINERLABEL": f"C.{self.id}"}
            | key
        )

    async def _live(self) -> None:
        manners, image = self._manners, self.body["image"]
        behaviour = manners.behaviour.get(self.machine_id, "")
        if behaviour == "never":
            return
        await asyncio.sleep(manners.created_s)
        if behaviour == "scheduling":
            self.set("scheduling")
            return
        self.set("created", "")
        if behaviour == "dead_host":
            self.intended = self.cur = "stopped"
            self.set("loading")
            return
        command = self._command()
        if behaviour == "oci_failure" or command is None:
            self.set("created", _oci_failure(self.id, self.body.get("onstart")))
            return
        await asyncio.sleep(manners.loading_s)
        self._pull("5f70bf18a086: Download complete")
        if behaviour in _STUCK:
            if behaviour in ("manifest_unknown", "tls_timeout"):
                self.cur = "stopped"
            self._pull(_STUCK[behaviour])
            return
        await asyncio.sleep(manners.running_s)
        self._pull(f"Successfully loaded {image}")
        if behaviour in ("offline", "outbid"):
            self._mishap = asyncio.create_task(self._meet_mishap(behaviour))
        await self._run(command)

    def _pull(self, line: str) -> None:
        self.daemon_log.append(line)
        self.set("loading", line)

    def _command(self) -> list[str] | None:
        """None where the entrypoint cannot be started."""
        executable = self.container.find(self.body.get("onstart") or "")
        if executable is None:
            return None
        return [executable, *(self.body.get("args") or [])]

    async def _meet_mishap(self, behaviour: str) -> None:
        await asyncio.sleep(self._manners.mishap_s)
        if behaviour == "offline":
            self.set_offline(True)
        else:
            await self.stop()

    async def _run(self, command: list[str]) -> None:
        """The container, started again whenever it exits."""
        while True:
            self.starts += 1
            self.set("running", f"success, running {self.body['image']}/{self.body['runtype']}")
            if not self._manners.runs:
                return
            await self.container.run(command)
            self.set(self._manners.while_restarting)
            await asyncio.sleep(self._manners.restart_s)


def cut(text: str, tail: int, pattern: str) -> str:
    """``docker logs --tail N | grep PATTERN``, each line cut at 500 characters."""
    lines = text.splitlines()[-tail:] if tail else []
    return "".join(f"{line[:LINE_AT_MOST]}\n" for line in lines if pattern in line)


def _oci_failure(number: int, entrypoint: str | None) -> str:
    return (
        f"Error response from daemon: failed to create task for container C.{number}: OCI runtime "
        f'create failed: runc create failed: exec: "{entrypoint}": no such file or directory'
    )

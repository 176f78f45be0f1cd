"""One rented instance of the simulated Vast.ai: what it shows, and what it costs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.vast_host import HostedInstance
from tests.standins.vast_market import Row, hourly_disk

_BILLED = ("running", "frozen", "rebooting", "recycling", "restarting")
_MOST_LINES = 600


@dataclass(slots=True, kw_only=True, eq=False)
class SimInstance:
    """``actual``, ``intended``, ``cur``, ``next`` and ``status_msg`` are what the API shows.

    ``price`` is $ an hour for the GPU, as it is billed; ``shows_at`` is when listings begin to
    have it.
    """

    id: int
    label: str
    offer: Row
    body: Row
    key: str
    created_at: float
    price: float
    shows_at: float
    clock: Callable[[], float]
    is_foreign: bool = False
    is_local: bool = False
    """A process of the program's own computer, and nothing that is rented."""
    actual: str | None = None
    intended: str = "running"
    cur: str = "running"
    next: str = "running"
    status_msg: str | None = None
    offline: bool = False
    destroyed_at: float | None = None
    gb_down: float = 0.0
    gb_up: float = 0.0
    printed: list[str] = field(default_factory=list)
    _gpu_usd: float = 0.0
    _disk_usd: float = 0.0
    _billed_at: float = 0.0
    _text: str = ""

    def __post_init__(self) -> None:
        self._billed_at = self.created_at

    @property
    def exists(self) -> bool:
        return self.destroyed_at is None

    @property
    def runs(self) -> bool:
        """Whether what is in the container goes on."""
        return self.exists and self.actual == "running" and self.cur == "running"

    @property
    def holds_gpu(self) -> bool:
        return self.exists and "running" in (self.intended, self.cur)

    @property
    def script(self) -> str:
        """What the container was started with."""
        args = self.body.get("args") or []
        return args[1] if len(args) > 1 else ""

    @property
    def usd_per_hour(self) -> float:
        """All in, as a listing shows it."""
        return self.price + hourly_disk(self.offer, self.body["disk"])

    @property
    def offered_usd_per_hour(self) -> float:
        """The same as it was offered: what came after that was not agreed to by anybody."""
        return self.offer["dph_base"] + hourly_disk(self.offer, self.body["disk"])

    def show(self, actual: str | None, status_msg: str | None = None) -> None:
        self.accrue()
        self.actual = actual
        if status_msg is not None:
            self.status_msg = status_msg
        self._text = ""

    def stop(self) -> None:
        """By whomever; the disk stays and costs."""
        self.accrue()
        self.intended = self.cur = self.next = "stopped"
        self.show("exited" if self.actual is not None else None)

    def start(self) -> None:
        """Again, from the image on."""
        self.accrue()
        self.intended = self.cur = self.next = "running"
        self.show("loading", "")

    def set_offline(self, offline: bool) -> None:
        """The host is cut off; what runs there runs on."""
        self.accrue()
        self.offline = offline
        self._text = ""

    def set_price(self, price: float) -> None:
        self.accrue()
        self.price = price
        self._text = ""

    def end(self) -> None:
        self.accrue()
        self.destroyed_at = self.clock()
        self.intended = self.next = "stopped"
        self.cur = "unloaded"

    def say(self, line: str) -> None:
        self.printed.append(line)
        del self.printed[:-_MOST_LINES]

    def accrue(self) -> None:
        """GPU while a container holds it, disk always; neither of a host that is away."""
        now = self.clock()
        hours = (now - self._billed_at) / 3600
        self._billed_at = now
        if self.destroyed_at is not None or self.offline:
            return
        self._disk_usd += hours * hourly_disk(self.offer, self.body["disk"])
        if self.cur == "running" and self.actual in _BILLED:
            self._gpu_usd += hours * self.price

    def billed_usd(self) -> float:
        self.accrue()
        traffic = self.gb_down * self.offer["inet_down_cost"]
        traffic += self.gb_up * self.offer["inet_up_cost"]
        return self._gpu_usd + self._disk_usd + traffic

    def row(self) -> Row:
        """As a listing shows it: the row of the stand-in that speaks HTTP."""
        shown: Any = self
        return HostedInstance.row(shown)

    def row_text(self) -> str:
        """The row as JSON."""
        if not self._text:
            self._text = json.dumps(self.row())
        return self._text

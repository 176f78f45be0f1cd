"""An account at the simulated Vast.ai: what can be had, what is rented, and what that costs."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.market import SimMarket
from tests.simulation.outside.replies import Limits
from tests.simulation.outside.states import Lazily, unknown
from tests.standins.vast_market import Row

#: What every instance's own key begins with.
KEY_MARK = "1257ce" * 9
#: How long until a stopped instance has its card back, if it ever has.
_QUEUED_S = ((2, 60), (60, 600))
_PAGE = 25
#: An answer that takes longer is none.
_PROMPT_S = 2.0
_HIDDEN_S = 120.0
#: How long ago a machine may have been destroyed that a listing still shows.
_LINGERS_S = 300.0
_FOREIGN = (
    "my nox1| thing",
    "nox1|short|x|1",
    "nox1|otherdep|01ARZ3NDEKTSV4RRFFQ69G5FAV|zzzzzz",
)


class SimAccount:
    """``clock`` is Vast's own: nobody sets it wrong. ``spawn`` runs what outlives processes.

    ``states`` tells the states of the machine with a label (of all for None), for the count of
    faults. ``on_rent`` is called with what was asked for, ``on_start`` when a container starts,
    ``on_stop`` when it is no more.
    ``instances`` has all that ever were, ``most_alive`` by label how many lived at once at most.
    """

    def __init__(
        self,
        faults: Faults,
        clock: Callable[[], float],
        *,
        spawn: Callable[[Any], object],
        machines: int = 12,
        credit: float = 25.0,
    ) -> None:
        self.faults = faults
        self.clock = clock
        self.account_key = "5e" * 32
        self.states: Callable[[str | None], tuple[str, ...]] = unknown
        self.on_rent: Callable[[SimInstance], None] = lambda _: None
        self.on_start: Callable[[SimInstance], None] = lambda _: None
        self.on_stop: Callable[[SimInstance], None] = lambda _: None
        self.credit = credit
        self.page_rows = faults.rng.choice((_PAGE, 3))
        self.market = SimMarket(faults, clock, machines=machines)
        self.instances: dict[int, SimInstance] = {}
        self.touched_foreign: list[str] = []
        self.most_alive: defaultdict[str, int] = defaultdict(int)
        self.spawn = spawn
        self.starts_again = 0.5
        """Share of the stopped instances that Vast starts again, by itself."""
        self.started_again = 0
        """Instances that were stopped, and then were not any more."""
        self.lost_calls = 0
        """Of those that list or delete: so many had no answer."""
        self.calls_under_way: dict[int, float] = {}
        """Of the same: since when they are."""
        self._numbers = itertools.count(28_397_367)
        self.limits = Limits(clock)
        self._broke_until = 0.0
        for label in _FOREIGN:
            self._rent_foreign(label)

    # --- for those who look on -----------------------------------------------------------------

    def alive(self) -> list[SimInstance]:
        """What costs money now and was not somebody else's from the start, whatever its label."""
        return [each for each in self.instances.values() if each.exists and not each.is_foreign]

    def billed_usd(self, label: str | None = None) -> float:
        """Of ours: with one label, or of all."""
        return sum(
            each.billed_usd()
            for each in self.instances.values()
            if not each.is_foreign and label in (None, each.label)
        )

    def credit_left(self) -> float:
        if self.clock() < self._broke_until:
            return 0.0
        return self.credit - self.billed_usd()

    @property
    def is_unheard(self) -> bool:
        """Whether somebody waits for a list or an end and gets none, or was told to wait."""
        now = self.clock()
        waits = any(now - at > _PROMPT_S for at in self.calls_under_way.values())
        return waits or now < self.limits.quiet_until

    # --- contracts -----------------------------------------------------------------------------

    def rent(self, offer: Row, body: Row) -> SimInstance:
        """Of ours. It may be dearer than was offered, and not be listed for a while."""
        now, number, rng = self.clock(), next(self._numbers), self.faults.rng
        states = Lazily(self.states, body.get("label"))
        hides = self.faults.hit(Fault.LIST_HIDES_NEW, states)
        price = offer["dph_base"]
        if self.faults.hit(Fault.PRICE_RISES, states):
            price *= rng.uniform(1.1, 3.0)
        instance = SimInstance(
            id=number, label=(body.get("label") or "").strip(), offer=dict(offer), body=body,
            key=make_key(number), created_at=now, price=price, clock=self.clock,
            shows_at=now + self.faults.after(1, _HIDDEN_S - 1) if hides else now,
        )  # fmt: skip
        self.instances[number] = instance
        self.on_rent(instance)
        living = sum(each.label == instance.label for each in self.alive())
        self.most_alive[instance.label] = max(self.most_alive[instance.label], living)
        return instance

    def _rent_foreign(self, label: str) -> None:
        """Somebody else's work on the same account."""
        body = {
            "image": "theirs:1", "disk": 20.0, "label": label, "env": {}, "runtype": "args",
            "onstart": "bash", "args": ["-c", "sleep inf"],
        }  # fmt: skip
        number, now = next(self._numbers), self.clock()
        offer = self.market.new_offer()
        instance = SimInstance(
            id=number, label=label, offer=offer, body=body, key=make_key(number),
            created_at=now, price=0.0, clock=self.clock, shows_at=now, is_foreign=True,
        )  # fmt: skip
        instance.show("running", "success, running theirs:1/args")
        self.instances[number] = instance

    # --- ends ----------------------------------------------------------------------------------

    def stop(self, instance: SimInstance) -> None:
        """By Vast itself: outbid, taken back by its host, or without credit."""
        instance.stop()
        self.on_stop(instance)
        if self.faults.rng.random() < self.starts_again:
            self.spawn(self.start_again(instance))

    async def start_again(self, instance: SimInstance) -> None:
        """Once its turn has come, with the script that it had, unless its card is another's."""
        await asyncio.sleep(self.faults.after(*self.faults.rng.choice(_QUEUED_S)))
        is_free = not any(
            each.holds_gpu and each.offer["id"] == instance.offer["id"]
            for each in self.instances.values()
        )
        if instance.exists and instance.cur == "stopped" and is_free and self.credit_left() > 0:
            self.started_again += 1
            instance.start()
            await self.host(instance)

    def end(self, instance: SimInstance) -> None:
        """It exists no more."""
        if instance.exists:
            instance.end()
            self.on_stop(instance)

    def visible(self, *, dead: bool) -> list[SimInstance]:
        """What a listing shows, now and then with some that are long destroyed."""
        now = self.clock()
        return [
            each
            for each in self.instances.values()
            if each.shows_at <= now
            and (each.destroyed_at is None or (dead and now - each.destroyed_at < _LINGERS_S))
        ]

    def run_dry(self) -> None:
        """The money is gone: everything is stopped, until somebody pays."""
        self._broke_until = self.clock() + self.faults.after(120, 900)
        for instance in self.alive():
            if instance.cur == "running":
                self.stop(instance)


def make_key(number: int) -> str:
    """The key of an instance, which can end that one alone."""
    return f"{KEY_MARK}{number:010x}"

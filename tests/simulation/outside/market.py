"""The market of the simulated Vast.ai: what others offer, which changes all the time."""

import itertools
from collections.abc import Callable, Collection

from tests.simulation.faults import Faults
from tests.simulation.outside.replies import Reply, refuse
from tests.standins.vast_market import Row, make_offer, search

_CARDS = (
    ("RTX 3060", 12288, 860, 12.7),
    ("RTX 4070 Ti", 12282, 890, 40.1),
    ("RTX 3090", 24576, 860, 35.6),
)
_FIRST = 31_000_001
_TURNS_OVER = 0.4
_DEAR = 0.2


class SimMarket:
    """``offers`` as they are now. Some cost more than anybody would pay."""

    def __init__(self, faults: Faults, clock: Callable[[], float], *, machines: int) -> None:
        self._rng = faults.rng
        self._clock = clock
        self._numbers = itertools.count(_FIRST)
        self._shapes = itertools.cycle(range(3))
        self.offers: list[Row] = []
        for _ in range(machines):
            self.offers.append(self.new_offer())

    def search(self, query: Row, held: Collection[int]) -> list[Row]:
        """What a search finds. Before it, one machine may have gone and another come."""
        if self._rng.random() < _TURNS_OVER:
            self.take(self._rng.choice(self.offers)["id"])
        rows = [
            offer | {"rentable": offer["id"] not in held, "rented": offer["id"] in held}
            for offer in self.offers
        ]
        return search(rows, query)

    def find(self, number: int) -> Row | None:
        return next((each for each in self.offers if each["id"] == number), None)

    def take(self, number: int) -> None:
        """Somebody else was faster; another machine is offered."""
        self.offers = [each for each in self.offers if each["id"] != number]
        self.offers.append(self.new_offer())

    def tell_gone(self, number: int) -> Reply:
        """In one of the ways in which that is told."""
        match next(self._shapes):
            case 0:
                text = f"error 410/3907: Instance type by id {number} is no longer available."
                return refuse(410, "no_such_ask", text)
            case 1:
                text = f"error 404/3603: no_such_ask Instance type by id {number}"
                return refuse(404, "invalid_args", f"{text} is not available.")
        return refuse(400, "no_such_ask", f"Instance type by id {number} is not available.")

    def new_offer(self) -> Row:
        rng, number = self._rng, next(self._numbers)
        name, ram_mb, capability, tflops = rng.choice(_CARDS)
        dear = rng.random() < _DEAR
        offer = make_offer(
            id=number, machine_id=number - _FIRST + 20_001, gpu_name=name, gpu_ram=ram_mb,
            compute_cap=capability, total_flops=tflops,
            dph_base=rng.uniform(0.11, 0.3) if dear else rng.uniform(0.03, 0.08),
            storage_cost=rng.choice([0.1, 0.15, 0.2]),
            inet_down_cost=rng.choice([0.0, 0.002, 0.004]),
            inet_up_cost=rng.choice([0.0, 0.002, 0.004]),
        )  # fmt: skip
        offer["end_date"] = self._clock() + offer["duration"]
        return offer

"""Other people's computers as a state machine meets them: a market, a ledger, and bad luck."""

from collections import defaultdict
from typing import NamedTuple

from controller.errors import Unclear
from controller.labels import Label
from controller.providers.base import Instance, InstanceStatus
from tests.controller.standins import RentedProvider, ScriptedProvider, make_offer

#: Of others, of another deployment of ours, and what only looks like ours.
FOREIGN = (
    "", "somebody's training", "nox1|short", "nox2|abcd1234|01HZZZZZZZZZZZZZZZZZZZZZZZ|zzzzzz",
    str(Label("zzzz9999", "01HZZZZZZZZZZZZZZZZZZZZZZZ", 1)),
)  # fmt: skip
#: How long a listing lags at most: less than the time after which an absence is believed.
LAG_S = 40.0


class End(NamedTuple):
    """When an instance ends, whoever else is there or not."""

    at: float
    instance: str


class Ledger:
    """Keeps what no controller may get wrong: who was billed what, and what was touched."""

    def __init__(self, clock) -> None:
        super().__init__()
        self.clock = clock
        self.billed: defaultdict[str, float] = defaultdict(float)
        self.most_per_label = 0
        self.creates_sent: defaultdict[str, int] = defaultdict(int)
        self.hidden_until: dict[str, float] = {}
        """Instances that listings do not show yet."""
        self.ghosts: dict[str, tuple[Instance, float]] = {}
        """Instances that are gone, and until when listings show them."""
        self.lag_s = 0.0
        """How late the listing is with what happens from now on."""
        self._billed_at = clock()
        for number, label in enumerate(FOREIGN):
            self.alive[f"f{number}"] = Instance(id=f"f{number}", label=label, usd_per_hour=0.5)

    @property
    def ours(self) -> list[Instance]:
        return [each for each in self.alive.values() if not each.id.startswith("f")]

    def of(self, label: str) -> list[Instance]:
        return [each for each in self.alive.values() if each.label == label]

    def bill(self) -> None:
        """Up to now; to be called before and after time passes."""
        hours = (self.clock() - self._billed_at) / 3600
        self._billed_at = self.clock()
        for each in self.ours:
            self.billed[each.label] += (each.usd_per_hour or 0.0) * hours

    def next_end(self, until: float) -> "End | None":
        """The next machine of ours that ends by itself before a time: each knows its deadline."""
        ends = [End(float(Label.parse(each.label).expires_at), each.id) for each in self.ours]
        return min((each for each in ends if each.at <= until), default=None)

    def lose(self, instance_id: str) -> None:
        """It is gone, whoever did that."""
        gone = self.alive.pop(instance_id, None)
        if gone and self.lag_s:
            self.ghosts[instance_id] = gone, self.clock() + self.lag_s

    async def create(self, offer, launch):
        self.creates_sent[launch.label] += 1
        before = set(self.alive)
        try:
            return await super().create(offer, launch)
        finally:
            for each in set(self.alive) - before:
                self.hidden_until[each] = self.clock() + self.lag_s
            labels = [each.label for each in self.ours]
            self.most_per_label = max([self.most_per_label, *map(labels.count, labels)])

    async def instances(self):
        now = self.clock()
        shown = [
            each for each in await super().instances() if self.hidden_until.get(each.id, 0) <= now
        ]
        return shown + [each for each, until in self.ghosts.values() if until > now]

    async def destroy(self, instance_ids):
        self.bill()
        before = dict(self.alive)
        gone = await super().destroy(instance_ids)
        for each in set(before) - set(self.alive):
            if self.lag_s:
                self.ghosts[each] = before[each], self.clock() + self.lag_s
        if instance_ids and not gone and not self.destroy_faults:
            raise Unclear("nothing is known of any")
        return gone

    def be_well(self) -> None:
        """No more bad luck."""
        self.create_faults.clear()
        self.list_faults.clear()
        self.destroy_faults.clear()
        self.lag_s = 0.0


class Computer(Ledger, ScriptedProvider):
    """This one: nothing is paid."""


class Market(Ledger, RentedProvider):
    """Fifty offers on twenty hosts, most of them within the cap."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.credit = 1000.0
        self.market = [
            make_offer(
                id=str(n), machine_id=f"m{n % 20}", usd_per_hour=0.04 + n / 500,
                # some take so long that somebody has to agree to it
                tflops=0.002 if n % 5 == 4 else 12.7,
            )
            for n in range(50)
        ]  # fmt: skip

    async def create(self, offer, launch):
        try:
            return await super().create(offer, launch)
        finally:
            for each in self.of(launch.label):
                self.show(each.id, status=InstanceStatus.CREATED, usd_per_hour=offer.usd_per_hour)

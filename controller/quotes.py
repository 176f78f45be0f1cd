"""Prices of jobs on the machines to be had now; answers of the market are kept for a moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from controller import market, policy
from controller.market import Market, Wish
from controller.providers.base import Need, Offer, Provider
from controller.records import Estimate, Job
from controller.settings import Settings
from controller.store import Store

_KEEP_S = 30.0
"""The provider allows ten searches a minute."""
_KEEP_NONE_S = 120.0
_KEEP_WHOLE_S = 900.0
_TAKEN_S = 120.0
_DISK_STEP_GB = 20.0


#: A card as it is to be had under most caps, for when the market has not been asked.
_MIDDLING = Offer(id="", name="", usd_per_hour=0.0, tflops=12.0, down_mbps=300.0, up_mbps=100.0)


class Quotes:
    """Asks the provider, and judges its offers for a job."""

    def __init__(
        self,
        *,
        store: Store,
        provider: Provider,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._answers: dict[Need, tuple[float, list[Offer]]] = {}
        self._taken: dict[str, float] = {}
        """When others were faster at a physical machine."""

    def wish(self, job: Job) -> Wish:
        """What a job asks of a machine; of one's own computer nothing is asked."""
        if not self._provider.rents:
            need = Need(max_usd_per_hour=self._settings.max_price)
            return Wish(
                need=need, in_gb=0, out_gb=0, max_usd_per_hour=self._settings.max_price, cuda=None
            )
        wish = market.wish_for(job, self._settings, policy.lifetime_s(self._settings))
        # jobs of about one size share an answer of the market
        disk_gb = -(-wish.need.disk_gb // _DISK_STEP_GB) * _DISK_STEP_GB
        failed_on = self._store.machines.hosts_of(job.id)
        return dataclasses.replace(
            wish, need=dataclasses.replace(wish.need, disk_gb=disk_gb), avoid=failed_on
        )

    async def market(self, job: Job, *, whole: bool = False) -> Market:
        """Offers judged for a job, the best first; ``whole`` shows those above the cap as well.

        Where nothing fits, the whole market is asked, so that it can be said why.
        """
        wish = self.wish(job)
        if not self._provider.rents:
            return market.accept_all(await self._offers(wish.need), wish)
        if not whole:
            found = self._judge(job, wish, await self._offers(wish.need, _KEEP_S))
            if found.best:
                return found
        need = Need(disk_gb=wish.need.disk_gb)
        # an explanation does not have to be fresh, and searches are counted by the day
        keep_s = _KEEP_S if whole else _KEEP_WHOLE_S
        return self._judge(job, wish, await self._offers(need, keep_s))

    def estimate(self, job: Job) -> Estimate:
        """What a job would take, from what is known without asking: learned speeds, the offers
        last seen, and where there are none a middling card at the full price of the cap."""
        device = self._settings.runner_device
        # one's own computer is taken for one without a card until it has been measured
        device = "cpu" if device == "auto" else device
        expected = policy.estimate(job.facts, job.task, self._store.speeds.known, device)
        if not self._provider.rents:
            return expected
        wish = self.wish(job)
        _, offers = self._answers.get(wish.need, (0.0, []))
        best = self._judge(job, wish, offers or [_MIDDLING]).ranked[0]
        usd = best.usd
        if not offers:
            usd = (market.START_S + best.seconds) / 3600 * self._settings.max_price
        return dataclasses.replace(expected, seconds=market.START_S + best.seconds, usd=usd)

    def note_taken(self, host: str) -> None:
        """Somebody else was faster at a physical machine: it is not shown for a while."""
        if host:
            self._taken[host] = self._clock()

    def _judge(self, job: Job, wish: Wish, offers: list[Offer]) -> Market:
        work = policy.work_name(job.task)
        pixels = policy.work_pixels(job.facts)
        seconds = {}
        for offer in offers:
            speed = self._store.speeds.known(work, offer.name)
            seconds[offer.id] = (
                pixels / speed
                if speed
                else market.work_seconds(job.facts, job.task, offer, self._settings.runner_device)
            )
        return market.judge(offers, wish, seconds, self._store.bans.active())

    async def _offers(self, need: Need, keep_s: float = 0.0) -> list[Offer]:
        now = self._clock()
        at, offers = self._answers.get(need, (0.0, []))
        if not self._provider.rents or now - at > (
            keep_s if offers else max(keep_s, _KEEP_NONE_S)
        ):
            offers = await self._provider.offers(need)
            self._answers = {
                n: kept for n, kept in self._answers.items() if now - kept[0] < _KEEP_WHOLE_S
            }
            self._answers[need] = (now, offers)
        self._taken = {name: at for name, at in self._taken.items() if now - at < _TAKEN_S}
        ours = {machine.host for machine in self._store.machines.select() if machine.host}
        return [each for each in offers if each.machine_id not in ours | self._taken.keys()]

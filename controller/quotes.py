"""Prices of jobs on the machines to be had now; answers of the market are kept for a moment."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable

from controller import market, policy
from controller.clock import doubt_s, latest_of
from controller.errors import ControllerError, ProviderError, Unclear
from controller.market import Market, Wish
from controller.providers.base import Need, Offer, Provider
from controller.records import Estimate, Job, Machine
from controller.settings import Settings
from controller.store import Store
from controller.terms import ROUNDING_USD, price_cap, time_limit_s
from controller.workload import SAMPLE_S, output_frames
from remote_runner.protocol import Task

_KEEP_S = 30.0
"""The provider allows ten searches a minute."""
_KEEP_NONE_S = 120.0
_KEEP_WHOLE_S = 900.0
_TAKEN_S = 120.0
_DISK_STEP_GB = 20.0
_ROUGH_S = 60.0
_MOST_ROUGH = 2000


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
        self._asking: dict[Need, asyncio.Lock] = {}
        self._searches = 0
        self._refusals: dict[Need, tuple[int, ControllerError]] = {}
        """Which search was refused, and how."""
        self._rough: dict[str, tuple[float, Task, Estimate]] = {}
        self._taken: dict[str, float] = {}
        """When others were faster at a physical machine."""

    def wish(self, job: Job) -> Wish:
        """What a job asks of a machine; of one's own computer nothing is asked."""
        if not self._provider.rents:
            cap = price_cap(job, self._settings)
            need = Need(max_usd_per_hour=cap)
            return Wish(need=need, in_gb=0, out_gb=0, max_usd_per_hour=cap, cuda=None)
        longest_s = self.longest_s(time_limit_s(job, self._settings))
        wish = market.wish_for(job, self._settings, longest_s)
        # jobs of about one size share an answer of the market
        disk_gb = -(-wish.need.disk_gb // _DISK_STEP_GB) * _DISK_STEP_GB
        failed_on = self._store.machines.hosts_of(job.id)
        return dataclasses.replace(
            wish, need=dataclasses.replace(wish.need, disk_gb=disk_gb), avoid=failed_on
        )

    def lifetime_s(self, job: Job) -> float:
        """How long a machine lives at most that is rented for a job, by the clock that made its
        deadline."""
        return policy.lifetime_s(time_limit_s(job, self._settings), self._settings)

    def longest_s(self, limit_s: float) -> float:
        """For how long a machine may have to be paid for whose attempts may take ``limit_s``.

        Whatever is held against a budget or an offer's end is reckoned by this: it lives longer
        where its deadline was made by a clock that turns out to be ahead.
        """
        # whole minutes, so that an answer of the market does for more than one look
        minutes = math.ceil(doubt_s(self._clock) / 60)
        return policy.lifetime_s(limit_s, self._settings) + 60 * minutes

    def suits(self, job: Job, machine: Machine) -> bool:
        """Whether a machine that was rented for another job will do for this one."""
        limit_s = time_limit_s(job, self._settings)
        if self._provider.rents and self.machine_seconds(job, machine)[0] > limit_s:
            return False
        allowed_s = policy.allowance_s(self.estimate(job).seconds, limit_s)
        ends_at = latest_of(self._clock) + allowed_s
        if machine.retire_requested_at is not None or machine.expires_at < ends_at:
            return False
        wish = self.wish(job)
        if machine.usd_per_hour > wish.max_usd_per_hour + ROUNDING_USD:
            return False  # a higher price was agreed to for another job alone
        if self.most_usd(job, machine) > wish.max_usd:
            return False
        memory = machine.gpu_ram_gb is None or wish.need.min_gpu_ram_gb <= machine.gpu_ram_gb
        return memory and wish.need.disk_gb <= machine.disk_gb and machine.host not in wish.avoid

    def most_usd(self, job: Job, machine: Machine) -> float:
        """What the longest run of a job costs on a machine that is up."""
        longest_s = min(
            machine.expires_at - latest_of(self._clock),
            policy.BOOT_ALLOWANCE_S + time_limit_s(job, self._settings),
        )
        # its deadline is by the clock that is further, and the other one may be right
        longest_s += doubt_s(self._clock)
        return machine.usd_per_hour * longest_s / 3600 + self.traffic_usd(job, machine)

    def traffic_usd(self, job: Job, machine: Machine) -> float:
        """What moving a next job's input and result costs on a machine that has its image."""
        return market.traffic_usd(
            self.wish(job),
            usd_per_gb_down=machine.usd_per_gb_down,
            usd_per_gb_up=machine.usd_per_gb_up,
            with_image=False,
        )

    def machine_seconds(self, job: Job, machine: Machine) -> tuple[float, bool]:
        """How long a job works on a machine that is up, and whether that was measured on one of
        its kind, on itself by a sample of the job at best."""
        sampled_s = self._sampled_seconds(job, machine)
        if sampled_s is not None:
            return sampled_s, True
        speed = self._store.speeds.known(policy.work_name(job.task), machine.name)
        if speed:
            return _share(job) * policy.work_pixels(job.facts) / speed, True
        seen = (each for _, offers in self._answers.values() for each in offers)
        like = next((each for each in seen if each.name == machine.name), _MIDDLING)
        device = self._settings.runner_device
        return _share(job) * market.work_seconds(job.facts, job.task, like, device), False

    def _sampled_seconds(self, job: Job, machine: Machine) -> float | None:
        """The time of the whole at the rate at which this machine made its sample."""
        sample = self._store.jobs.done_sample(job.id, machine.id)
        if (
            sample is None
            or sample.task != job.task
            or not (sample.result and sample.result.facts)
        ):
            return None
        frames, seconds = sample.result.facts.frames, sample.result.timings.get("processing", 0.0)
        if frames <= 0 or seconds <= 0:
            return None
        return output_frames(job.facts, job.task) * seconds / frames

    def is_measured(self, job: Job, name: str) -> bool:
        """Whether this work was measured on machines of this name."""
        return self._store.speeds.known(policy.work_name(job.task), name) is not None

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
        expected = dataclasses.replace(expected, seconds=_share(job) * expected.seconds)
        if not self._provider.rents:
            return expected
        wish = self.wish(job)
        _, offers = self._answers.get(wish.need, (0.0, []))
        if not offers:
            _, whole = self._answers.get(Need(disk_gb=wish.need.disk_gb), (0.0, []))
            offers = whole if self._judge(job, wish, whole).best else []
        best = self._judge(job, wish, offers or [_MIDDLING]).ranked[0]
        usd = best.usd
        if not offers:
            usd = (market.START_S + best.seconds) / 3600 * wish.max_usd_per_hour
        return dataclasses.replace(expected, seconds=market.START_S + best.seconds, usd=usd)

    def rough_estimate(self, job: Job) -> Estimate:
        """As :meth:`estimate`, up to a minute old: for sums over many jobs."""
        now = self._clock()
        at, task, expected = self._rough.get(job.id, (float("-inf"), None, None))
        if expected is None or task != job.task or not _is_within(now - at, _ROUGH_S):
            if len(self._rough) >= _MOST_ROUGH:
                self._rough.clear()
            expected = self.estimate(job)
            self._rough[job.id] = (now, job.task, expected)
        return expected

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
            seconds[offer.id] = _share(job) * (
                pixels / speed
                if speed
                else market.work_seconds(job.facts, job.task, offer, self._settings.runner_device)
            )
        return market.judge(offers, wish, seconds, self._store.bans.active())

    async def _kept_offers(self, need: Need, keep_s: float, *, after: int) -> list[Offer]:
        """An answer that is young enough, else a new one; or the refusal that came meanwhile."""
        now = self._clock()
        at, offers = self._answers.get(need, (float("-inf"), []))
        if _is_within(now - at, keep_s if offers else max(keep_s, _KEEP_NONE_S)):
            return offers
        search, refusal = self._refusals.get(need, (0, None))
        if refusal and search > after:
            raise refusal
        self._searches += 1
        try:
            offers = await self._provider.offers(need)
        except (ProviderError, Unclear) as error:
            self._refusals[need] = (self._searches, error)
            raise
        self._refusals.pop(need, None)
        self._answers = {
            n: kept
            for n, kept in self._answers.items()
            if _is_within(now - kept[0], _KEEP_WHOLE_S)
        }
        self._asking = {
            n: lock for n, lock in self._asking.items() if lock.locked() or n in self._answers
        }
        self._answers[need] = (now, offers)
        return offers

    async def _offers(self, need: Need, keep_s: float = 0.0) -> list[Offer]:
        if self._provider.rents:
            before = self._searches
            # whoever asks meanwhile gets the same answer
            async with self._asking.setdefault(need, asyncio.Lock()):
                offers = await self._kept_offers(need, keep_s, after=before)
        else:
            offers = await self._provider.offers(need)
        now = self._clock()
        self._taken = {
            name: at for name, at in self._taken.items() if _is_within(now - at, _TAKEN_S)
        }
        ours = {machine.host for machine in self._store.machines.select() if machine.host}
        return [each for each in offers if each.machine_id not in ours | self._taken.keys()]


def _is_within(age_s: float, keep_s: float) -> bool:
    """Whether it is no older; what is yet to come was noted by a clock that was ahead."""
    return 0 <= age_s <= keep_s


def _share(job: Job) -> float:
    """How much of the work on its video a job is: a sample takes a few seconds of it."""
    if job.sample_of is None or job.facts.duration_s <= SAMPLE_S:
        return 1.0
    return SAMPLE_S / job.facts.duration_s

"""Which of the machines to be had fits a job, why the others do not, and what each would cost.

Pure: offers and needs in, a ranking out. Every constraint is checked here, whatever the provider's
own search has filtered already. GB are 10⁹ bytes, times seconds, money US dollars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.images import capabilities, parse_image_cuda
from controller.providers.base import Need, Offer
from controller.records import Job
from controller.settings import Settings
from controller.terms import money_cap, price_cap, time_limit_s
from controller.workload import count_operations, memory_gb, output_frames, output_size
from remote_runner.protocol import Facts, Task

#: What a container image of PyTorch with CUDA weighs on the wire.
IMAGE_GB = 4.0
#: From the create call to the first frame, where all goes well: pull, start, install.
START_S = 300.0
MIN_CORES = 4.0
"""Decoding and encoding need a few, however fast the card is."""
MIN_RAM_GB = 8.0
MIN_RELIABILITY = 0.95
MIN_MBPS = 100.0
"""Down; for the way up a quarter of it does."""
_UNKNOWN_TFLOPS = 10.0
#: Share of the measured single-precision rate that networks reach in plain half precision, taken
#: low so that a promise is kept: half of it and more is published for enlarging, and a fifth for
#: frames between frames, which wait for memory rather than for arithmetic.
_ENLARGING_SHARE = 0.4
_BETWEEN_SHARE = 0.1
_CODEC_PIXELS_PER_S = 60e6
"""Output pixels that a few cores encode in a second, whatever the card does."""


class Filter(StrEnum):
    """What an offer can fail by, in the order in which it is told."""

    PRICE = "price"
    BANNED = "banned"
    GPUS = "gpus"
    GPU_MEMORY = "gpu_memory"
    CAPABILITY = "capability"
    CUDA = "cuda"
    CORES = "cores"
    MEMORY = "memory"
    DISK = "disk"
    RELIABILITY = "reliability"
    NETWORK = "network"
    DURATION = "duration"
    TIME = "time"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one job asks of a machine."""

    need: Need
    in_gb: float
    """What the machine fetches: the source, and of a later attempt what earlier ones have left."""
    out_gb: float
    max_usd_per_hour: float
    cuda: float | None
    """CUDA of the image; None where its tag does not say."""
    max_seconds: float = float("inf")
    """How long the work may take on one machine."""
    max_usd: float = float("inf")
    """What may still be reserved for the job."""
    avoid: frozenset[str] = frozenset()
    """Machines on which it failed before."""
    saved_gb: float = 0.0
    """Segments that it puts into storage as they are finished, beside the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """An offer, judged for one job."""

    offer: Offer
    failed: tuple[Filter, ...]
    """Empty where it fits."""
    seconds: float
    """Work alone, without the start of the machine."""
    usd: float
    """All in for this job: machine, disk and traffic, from the create call to the result."""

    @property
    def fits(self) -> bool:
        return not self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """All offers, judged: what fits first, each part cheapest for the job first."""

    ranked: tuple[Ranked, ...]

    @property
    def best(self) -> Ranked | None:
        return self.ranked[0] if self.ranked and self.ranked[0].fits else None

    @property
    def cheapest_otherwise_fit(self) -> Ranked | None:
        """What would do if the price did not matter."""
        rest = [each for each in self.ranked if each.failed == (Filter.PRICE,)]
        return min(rest, key=lambda each: each.offer.usd_per_hour, default=None)

    def removed(self) -> dict[Filter, int]:
        """How many offers each filter removed; one that fails by several counts with each."""
        counts = Counter(name for each in self.ranked for name in each.failed)
        return {name: counts[name] for name in Filter if counts[name]}

    def explain(self, max_usd_per_hour: float) -> str:
        """One line: why nothing fits, and what the cheapest would cost that does."""
        if not self.ranked:
            return "the market shows no offers at all"
        removed = ", ".join(f"{name} {count}" for name, count in self.removed().items())
        under = f" under ${max_usd_per_hour:.3f}/hr" if Filter.PRICE in self.removed() else ""
        line = f"none of {len(self.ranked)} offers fits{under}: {removed}"
        other = self.cheapest_otherwise_fit
        if other is None:
            return line
        return f"{line}; the cheapest that would do: {other.offer.name} @ {_price(other.offer)}"


def wish_for(job: Job, settings: Settings, duration_s: float) -> Wish:
    """What a job asks of a rented machine, from the facts of its video."""
    in_gb = job.source_bytes / 1e9
    out_gb = output_gb(job.facts, job.task, in_gb)
    saved_gb = out_gb if job.sample_of is None else 0.0
    goes_on = job.attempts > 0 or job.predecessor is not None
    cpu = settings.runner_device == "cpu"
    return Wish(
        need=Need(
            disk_gb=float(max(16, round(IMAGE_GB * 3 + in_gb + 2 * out_gb + 2))),
            max_usd_per_hour=price_cap(job, settings),
            min_gpu_ram_gb=0.0 if cpu else memory_gb(job.facts, job.task),
            min_duration_s=duration_s,
        ),
        in_gb=in_gb + (saved_gb if goes_on else 0.0),
        out_gb=out_gb,
        saved_gb=saved_gb,
        max_usd_per_hour=price_cap(job, settings),
        cuda=None if cpu else parse_image_cuda(settings.image),
        max_seconds=time_limit_s(job, settings),
        max_usd=money_cap(job, settings) - job.cost_usd,
    )


def output_gb(facts: Facts, task: Task, in_gb: float) -> float:
    """A guess from the input's own bits per pixel: larger pictures need fewer of them."""
    width, height = output_size(facts, task)
    larger = width * height / max(1, facts.width * facts.height)
    smoother = output_frames(facts, task) / max(1, facts.frames)
    return float(in_gb * larger**0.75 * smoother**0.5)


def work_seconds(facts: Facts, task: Task, offer: Offer, device: str = "cuda") -> float:
    """Expected time on a card that has not been measured yet, from operations over its rate."""
    width, height = output_size(facts, task)
    found = count_operations(facts, task, device)
    rate = (offer.tflops or _UNKNOWN_TFLOPS) * 1e12
    networks_s = 2 * (found.enlarging / _ENLARGING_SHARE + found.between / _BETWEEN_SHARE) / rate
    coded = output_frames(facts, task) * width * height
    return max(networks_s, coded / _CODEC_PIXELS_PER_S)


def transfer_seconds(wish: Wish, offer: Offer) -> float:
    down = (offer.down_mbps or MIN_MBPS) * 1e6 / 8
    up = (offer.up_mbps or MIN_MBPS / 4) * 1e6 / 8
    return wish.in_gb * 1e9 / down + wish.out_gb * 1e9 / up


def traffic_usd(
    wish: Wish, *, usd_per_gb_down: float, usd_per_gb_up: float, with_image: bool
) -> float:
    """What moving a job's input, its segments and its result costs, and the image where it has to
    be fetched."""
    down_gb = wish.in_gb + (IMAGE_GB if with_image else 0.0)
    return down_gb * usd_per_gb_down + (wish.out_gb + wish.saved_gb) * usd_per_gb_up


def judge(
    offers: Sequence[Offer],
    wish: Wish,
    seconds: dict[str, float],
    banned: Collection[str] = (),
) -> Market:
    """Rank offers by what the job costs on them; ``seconds`` is the work time by offer id."""
    ranked = []
    for offer in offers:
        work_s = seconds[offer.id] + transfer_seconds(wish, offer)
        traffic = traffic_usd(
            wish,
            usd_per_gb_down=offer.usd_per_gb_down,
            usd_per_gb_up=offer.usd_per_gb_up,
            with_image=True,
        )
        usd = (START_S + work_s) / 3600 * offer.usd_per_hour + traffic
        ranked.append(
            Ranked(
                offer=offer,
                failed=_failed(offer, wish, banned, work_s, traffic),
                seconds=work_s,
                usd=usd,
            )
        )
    ranked.sort(key=lambda each: (not each.fits, each.usd, each.offer.id))
    return Market(ranked=tuple(ranked))


def accept_all(offers: Sequence[Offer], wish: Wish) -> Market:
    """Offers of one's own computer: only the price counts."""
    return Market(
        ranked=tuple(
            Ranked(
                offer=offer,
                failed=() if offer.usd_per_hour <= wish.max_usd_per_hour else (Filter.PRICE,),
                seconds=0.0,
                usd=0.0,
            )
            for offer in sorted(offers, key=lambda each: each.usd_per_hour)
        )
    )


def _failed(
    offer: Offer, wish: Wish, banned: Collection[str], seconds: float, traffic_usd: float
) -> tuple[Filter, ...]:
    need = wish.need
    # a machine may live as long as it must be available: so much is reserved
    reserved_usd = need.min_duration_s / 3600 * offer.usd_per_hour + traffic_usd
    checks = {
        Filter.PRICE: offer.usd_per_hour <= wish.max_usd_per_hour,
        Filter.BANNED: offer.machine_id not in banned and offer.machine_id not in wish.avoid,
        # the work uses one card: more of them are paid for and idle
        Filter.GPUS: offer.gpus == 1,
        Filter.GPU_MEMORY: _at_least(offer.gpu_ram_gb, need.min_gpu_ram_gb * 0.92),
        Filter.CAPABILITY: _known_capability(offer, wish.cuda),
        Filter.CUDA: wish.cuda is None or _at_least(offer.cuda, wish.cuda),
        Filter.CORES: _at_least(offer.cpu_cores, MIN_CORES),
        Filter.MEMORY: _at_least(offer.ram_gb, MIN_RAM_GB * 0.92),
        Filter.DISK: _at_least(offer.disk_gb, need.disk_gb),
        Filter.RELIABILITY: _at_least(offer.reliability, MIN_RELIABILITY),
        Filter.NETWORK: _at_least(offer.down_mbps, MIN_MBPS)
        and _at_least(offer.up_mbps, MIN_MBPS / 4),
        Filter.DURATION: offer.duration_s is None or offer.duration_s >= need.min_duration_s,
        Filter.TIME: seconds <= wish.max_seconds,
        Filter.BUDGET: reserved_usd <= wish.max_usd,
    }
    return tuple(name for name, passed in checks.items() if not passed)


def _at_least(value: float | None, least: float) -> bool:
    """What a host does not tell is not assumed to be enough."""
    return least <= 0 or (value is not None and value >= least)


def _known_capability(offer: Offer, cuda: float | None) -> bool:
    if cuda is None:
        return True
    lowest, highest = capabilities(cuda)
    capability = offer.compute_capability
    return capability is not None and lowest <= capability <= highest


def _price(offer: Offer) -> str:
    return f"${offer.usd_per_hour:.3f}/hr"

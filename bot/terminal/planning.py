"""What a batch would rent and pay, before anything is rented: plans, and why other offers lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from bot.terminal.batch import Batch
from bot.terminal.rows import Item
from controller.errors import ProviderError, RateLimited, Unclear
from controller.images import capabilities, parse_image_cuda
from controller.market import START_S, Filter, Market, Ranked
from controller.records import Estimate, Job
from controller.service import Controller
from controller.settings import Settings

log = logging.getLogger(__name__)

_TRIES = 3
_PAUSE_S = 5.0
_ROWS = 25
_FITTING_ROWS = 12
_HEADER = f"{'':>3}  {'GPU':<20} {'$/hr':>6} {'$/GB in':>8} {'out':>6} {'min':>5} {'$ job':>7}"

Quotes = Mapping[str, Market]
"""By job id."""


async def find_quotes(controller: Controller, batch: Batch, *, whole: bool) -> dict[str, Market]:
    """Offers for every video that is to be started; those for which nothing fits are refused.

    Nothing is looked for above the cap, whatever comes of it. ``whole`` asks for the dearer offers
    too, to show them. Empty where nothing is rented.
    """
    quotes: dict[str, Market] = {}
    if not controller.rents:
        return quotes
    for item in batch.open():
        if item.job is None:
            continue
        try:
            market = await _ask_market(controller, item.job, whole=whole)
        except (ProviderError, Unclear) as error:
            await batch.refuse(item, f"the market cannot be asked: {error}")
            continue
        quotes[item.job.id] = market
        # a machine that is rented already is not to be had, and may take the job all the same
        if market.best is None and not controller.machines():
            await batch.refuse(item, market.explain(controller.settings.max_price))
    return quotes


async def _ask_market(controller: Controller, job: Job, *, whole: bool) -> Market:
    """A market that does not answer at once may do so in a moment."""
    for _ in range(_TRIES - 1):
        try:
            return await controller.quote(job, whole=whole)
        except (RateLimited, Unclear) as error:
            log.debug("No quote yet: %s", error)
            await asyncio.sleep(_PAUSE_S)
    return await controller.quote(job, whole=whole)


def show_plan(controller: Controller, batch: Batch, quotes: Quotes) -> None:
    """A line for each video with what it takes."""
    for item in batch.open():
        if item.job:
            market = quotes.get(item.job.id)
            best = market.best if market else None
            estimate = controller.estimate(item.job)
            line = describe_plan(estimate, best)
            batch.reporter.say("PLAN", f"{item.source.name}: {line}")


def describe_plan(estimate: Estimate, best: Ranked | None) -> str:
    """What comes out; where a machine is rented which one, the time with its start, the price."""
    result = f"{estimate.width}x{estimate.height}, {estimate.frames_out} frames"
    if estimate.reckoned:
        result += ", a model of unknown cost taken for the heaviest"
    if best is None:
        return f"{result}, about {estimate.seconds:.0f} s"
    offer = f"{best.offer.name} @ ${best.offer.usd_per_hour:.3f}/hr"
    return f"{result}, {offer}, about {_minutes(best)} min, ${best.usd:.3f}"


def show_ranking(settings: Settings, batch: Batch, quotes: Quotes) -> None:
    """The offers as the video judges them that asks the most."""
    item = _find_hardest(batch.items, quotes)
    if item and item.job:
        batch.reporter.say("OFFERS", f"As judged for {item.source.name}:")
        for line in draw_ranking(quotes[item.job.id], settings):
            batch.reporter.say("OFFERS", line)


def draw_ranking(market: Market, settings: Settings) -> list[str]:
    """Cheapest for the job first, then what lost and by what; at most 25 of them."""
    fitting = [each for each in market.ranked if each.fits]
    lost = [each for each in market.ranked if not each.fits]
    shown = fitting[: max(_FITTING_ROWS, _ROWS - len(lost))]
    lines = [_HEADER, *(_draw_row(each, settings, n) for n, each in enumerate(shown, start=1))]
    if more := len(fitting) - len(shown):
        lines.append(f"     … and {more} more that fit")
    losers = lost[: _ROWS - len(shown)]
    lines += [_draw_row(each, settings, 0) for each in losers]
    if more := len(lost) - len(losers):
        removed = ", ".join(f"{name} {count}" for name, count in market.removed().items())
        lines.append(f"     … and {more} more that do not; removed in all: {removed}")
    return lines


def ask(batch: Batch, quotes: Quotes, controller: Controller) -> str:
    """The question before the start, with the price and the time of the whole."""
    jobs = [item.job for item in batch.open() if item.job]
    count = f"{len(jobs)} video{'s' if len(jobs) != 1 else ''}"
    if not controller.rents:
        seconds = sum(controller.estimate(job).seconds for job in jobs)
        return f"{count}, about {seconds:.0f} s. Start?"
    found = [quotes[job.id].best for job in jobs if job.id in quotes]
    best = [each for each in found if each]
    side_by_side = max(1, min(len(best), controller.settings.max_machines))
    seconds = START_S + sum(each.seconds for each in best) / side_by_side
    usd = sum(each.usd for each in best)
    return f"{count}, about {seconds / 60:.0f} min, about ${usd:.2f}. Start?"


def _find_hardest(items: Sequence[Item], quotes: Quotes) -> Item | None:
    """The one with the fewest fitting offers, of these the dearest."""
    quoted = [item for item in items if item.job and item.job.id in quotes]

    def hardness(item: Item) -> tuple[int, float]:
        market = quotes[item.job.id] if item.job else Market(ranked=())
        fitting = sum(each.fits for each in market.ranked)
        return fitting, -(market.best.usd if market.best else 0.0)

    return min(quoted, key=hardness, default=None)


def _draw_row(ranked: Ranked, settings: Settings, place: int) -> str:
    offer = ranked.offer
    failed = "; ".join(describe_failure(each, ranked, settings) for each in ranked.failed)
    return (
        f"{place or '-':>3}  {offer.name[:20]:<20} {offer.usd_per_hour:>6.3f} "
        f"{offer.usd_per_gb_down:>8.3f} {offer.usd_per_gb_up:>6.3f} {_minutes(ranked):>5} "
        f"{ranked.usd:>7.3f}  {failed or 'fits'}"
    )


def describe_failure(failed: Filter, ranked: Ranked, settings: Settings) -> str:
    """A filter and what the offer has instead of what it asks."""
    return f"{failed}: {_SHORTCOMINGS[failed](ranked, settings)}"


def _amount(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:.4g}{unit}"


def _release(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _image_range(settings: Settings) -> str:
    cuda = parse_image_cuda(settings.image)
    if cuda is None:
        return ""
    lowest, highest = capabilities(cuda)
    return f", the image has {lowest}–{highest}"


def _minutes(ranked: Ranked) -> int:
    """From the create call to the result."""
    return round((START_S + ranked.seconds) / 60)


#: What an offer has, by the filter that it fails.
_SHORTCOMINGS: Mapping[Filter, Callable[[Ranked, Settings], str]] = {
    Filter.PRICE: lambda _, settings: f"the cap is ${settings.max_price:.3f}",
    Filter.BANNED: lambda _r, _s: "it failed lately",
    Filter.GPUS: lambda ranked, _: str(ranked.offer.gpus),
    Filter.GPU_MEMORY: lambda ranked, _: _amount(ranked.offer.gpu_ram_gb, " GB"),
    Filter.CAPABILITY: lambda ranked, settings: (
        f"{_release(ranked.offer.compute_capability)}{_image_range(settings)}"
    ),
    Filter.CUDA: lambda ranked, settings: (
        f"{_release(ranked.offer.cuda)}, the image has {parse_image_cuda(settings.image)}"
    ),
    Filter.CORES: lambda ranked, _: _amount(ranked.offer.cpu_cores),
    Filter.MEMORY: lambda ranked, _: _amount(ranked.offer.ram_gb, " GB"),
    Filter.DISK: lambda ranked, _: _amount(ranked.offer.disk_gb, " GB"),
    Filter.RELIABILITY: lambda ranked, _: _amount(ranked.offer.reliability),
    Filter.NETWORK: lambda ranked, _: (
        f"{_amount(ranked.offer.down_mbps)} down, {_amount(ranked.offer.up_mbps)} up, Mbit/s"
    ),
    Filter.DURATION: lambda ranked, _: _amount(
        ranked.offer.duration_s and ranked.offer.duration_s / 3600, " h"
    ),
    Filter.TIME: lambda ranked, settings: (
        f"{_minutes(ranked)} min, NOXFVR_JOB_TIMEOUT is {settings.job_timeout_s / 60:.0f} min"
    ),
    Filter.BUDGET: lambda _, settings: f"more than ${settings.job_budget:.2f} would be reserved",
}

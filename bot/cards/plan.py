"""The plan card: what a video is, what it will become, what that costs, and its sample."""

from __future__ import annotations

from collections.abc import Mapping

from aiogram.utils.formatting import Bold, ExpandableBlockQuote, Text, as_list

from bot.cards.keyboards import plan_keyboard
from bot.cards.options import PLAN, draw_options
from bot.cards.view import Snapshot, View
from bot.cards.wording import (
    describe_facts,
    describe_notes,
    describe_reason,
    find_output_rate,
    find_share,
    show_name,
    show_picture,
    show_range,
)
from bot.texts import Tongue, clean_name
from controller.records import Estimate, Job, Limit, PlanQuote
from controller.states import AnyReason, AttemptState, JobState, Reason

#: A wait that is not worth speaking of.
_SOON_S = 5.0


def draw_plan(shot: Snapshot, tongue: Tongue) -> View:
    """A draft: the plan, or the page of its settings that was turned to."""
    job = shot.job
    if shot.page and shot.page != PLAN:
        extra = as_list(*describe_outcome(shot, tongue))
        return draw_options(job.task, shot.page, tongue, job, extra)
    lines: list[Text | str] = [tongue.rich("plan-title", name=show_name(job))]
    lines += describe_facts(job.facts, tongue)
    lines.append("")
    lines += describe_outcome(shot, tongue)
    if shot.quote is not None:
        lines += _describe_start(shot.quote, tongue)
        lines += _describe_hold(shot, shot.quote, tongue)
    if details := _describe_details(shot, tongue):
        lines.append(ExpandableBlockQuote(as_list(*details)))
    lines += _describe_sample(shot, tongue)
    lines.append(tongue("plan-choose"))
    return View(as_list(*lines), plan_keyboard(job, tongue, shot.sample))


def describe_outcome(shot: Snapshot, tongue: Tongue) -> list[Text | str]:
    """What will come out, how long that takes and what it costs, as far as it is known."""
    quote = shot.quote
    if quote is None:
        return _describe_estimate(shot.job, shot.estimate, tongue) if shot.estimate else []
    lines = [_describe_picture(shot.job, quote.width, quote.height, tongue)]
    how = "plan-time-measured" if quote.measured else "plan-time-formula"
    low, high = tongue.duration(quote.low_seconds), tongue.duration(quote.high_seconds)
    lines.append(tongue(how, time=show_range(low, high, tongue)))
    if quote.paid:
        money = show_range(tongue.money(quote.low_usd), tongue.money(quote.high_usd), tongue)
        lines.append(tongue("plan-cost", money=money))
        if quote.gpu and not _excludes_all(quote):
            price = tongue.money(quote.usd_per_hour)
            lines.append(tongue("plan-gpu", gpu=clean_name(quote.gpu, 40), price=price))
    return lines


def show_limits(limits: object, reason: AnyReason | None, tongue: Tongue) -> list[str]:
    """What is exceeded, in words; by the reason where no list of limits was written down."""
    names = [str(each) for each in limits] if isinstance(limits, list | tuple) else []
    known = [tongue(f"hold-{name}") for name in names if tongue.has(f"hold-{name}")]
    return known or [tongue(_HELD_FOR.get(reason, "hold-budget"))]


_HELD_FOR: Mapping[AnyReason | None, str] = {
    Reason.NO_OFFER: "hold-price",
    Reason.BUDGET: "hold-budget",
    Reason.TOO_LONG: "hold-time",
}


def _describe_estimate(job: Job, estimate: Estimate, tongue: Tongue) -> list[Text | str]:
    """Before the market has answered."""
    how = "plan-time-measured" if estimate.measured else "plan-time-formula"
    lines = [_describe_picture(job, estimate.width, estimate.height, tongue)]
    lines.append(tongue(how, time=tongue.duration(estimate.seconds)))
    if estimate.reckoned:
        lines.append(tongue("plan-reckoned"))
    if estimate.usd > 0:
        lines.append(tongue("plan-cost-asking", money=tongue.money(estimate.usd)))
    return lines


def _describe_picture(job: Job, width: int, height: int, tongue: Tongue) -> Text | str:
    size = Bold(show_picture(width, height))
    rate = Bold(tongue.fps(find_output_rate(job)))
    return tongue.rich("plan-result", size=size, fps=rate)


def _describe_start(quote: PlanQuote, tongue: Tongue) -> list[Text | str]:
    lines: list[Text | str] = []
    if quote.queue:
        lines.append(tongue("plan-queue", count=quote.queue))
    if quote.starts_in_s > _SOON_S:
        lines.append(tongue("plan-starts", time=tongue.duration(quote.starts_in_s)))
    elif quote.warm:
        lines.append(tongue("plan-warm"))
    return lines


def _describe_hold(shot: Snapshot, quote: PlanQuote, tongue: Tongue) -> list[Text | str]:
    """What Start would ask about, and what the cheapest would cost where nothing fits."""
    lines: list[Text | str] = []
    over = quote.hold_data.get("over")
    if _excludes_all(quote):
        lines.append(describe_cheapest(shot, quote, tongue))
        over = [each for each in over or () if each != Limit.PRICE]
    if quote.hold is not None:
        if over or not _excludes_all(quote):
            whys = show_limits(over, quote.hold, tongue)
            lines += [tongue("plan-hold", why=why) for why in whys]
        if shot.admin or quote.hold is Reason.TOO_LONG:
            lines.append(tongue("plan-hold-you"))
        else:
            lines.append(tongue("plan-hold-admin" if shot.askable else "no-admin"))
    return lines


def _excludes_all(quote: PlanQuote) -> bool:
    """Whether there are machines to be had and the cap or the needs rule all of them out."""
    return quote.paid and not quote.fitting and not quote.warm and not quote.unknown


def describe_cheapest(shot: Snapshot, quote: PlanQuote, tongue: Tongue) -> Text | str:
    """What the cheapest machine costs that would do, where the cap excludes all."""
    cap = tongue.money(shot.cap_usd_per_hour)
    if quote.cheapest_gpu is None or quote.cheapest_usd_per_hour is None:
        return tongue("plan-nothing-at-all", cap=cap)
    gpu, price = clean_name(quote.cheapest_gpu, 40), tongue.money(quote.cheapest_usd_per_hour)
    return tongue("plan-nothing", cap=cap, gpu=gpu, price=price)


def _describe_details(shot: Snapshot, tongue: Tongue) -> list[Text | str]:
    """What the figures rest on, and what was assumed of the file."""
    lines: list[Text | str] = []
    quote = shot.quote
    if quote is not None and quote.unknown:
        lines.append(tongue("plan-unknown"))
    if quote is not None and quote.paid and not quote.unknown:
        cap = tongue.money(shot.cap_usd_per_hour)
        if quote.fitting:
            lines.append(tongue("plan-offers", cap=cap, count=quote.fitting))
        removed = {name: count for name, count in quote.removed.items() if count}
        if removed:
            filters = ", ".join(
                tongue("plan-filter", name=tongue(f"filter-{name}"), count=count)
                for name, count in removed.items()
            )
            lines.append(tongue("plan-excluded", filters=filters))
    if quote is not None and quote.reckoned:
        lines.append(tongue("plan-reckoned"))
    if notes := describe_notes(shot.job.facts.notes, None, tongue):
        lines += [tongue("plan-assumed"), *(f"• {note}" for note in notes)]
    return lines


def _describe_sample(shot: Snapshot, tongue: Tongue) -> list[Text | str]:
    """How far the sample of this task is; nothing of one that was made with another."""
    sample = shot.sample
    if sample is None or sample.task != shot.job.task:
        return []
    match sample.state:
        case JobState.DONE if sample.result is not None and sample.result.fps > 0:
            return [tongue("plan-sample-done", fps=tongue.fps(sample.result.fps))]
        case JobState.DONE:
            return [tongue("plan-sample-ready")]
        case JobState.FAILED:
            reason = describe_reason(sample.reason, tongue)
            return [tongue("plan-sample-failed", reason=reason)]
        case JobState.CANCELLED:
            return []
        case _ if sample.cancel_requested_at is not None:
            return [tongue("plan-sample-stopping")]
        case JobState.QUEUED if sample.waits_for:
            reason = describe_reason(sample.waits_for, tongue)
            return [tongue("plan-sample-waits", reason=reason)]
    attempt = shot.sample_attempts[-1] if shot.sample_attempts else None
    if attempt is None or attempt.state is not AttemptState.RUNNING or attempt.status is None:
        return [tongue("plan-sample-starting")]
    return [tongue("plan-sample"), tongue.bar(find_share(attempt.status))]

"""What waits for somebody's yes: the card of a held job, and what an admin is asked about it."""

from __future__ import annotations

from aiogram.utils.formatting import Bold, Text, as_list

from bot.cards.keyboards import (
    ask_keyboard,
    cancelling_keyboard,
    confirm_keyboard,
    held_keyboard,
    no_offer_keyboard,
    price_keyboard,
)
from bot.cards.plan import describe_cheapest, show_limits
from bot.cards.view import Snapshot, View
from bot.cards.wording import describe_reason, show_moment, show_name, show_task
from bot.texts import Tongue, clean_name
from controller.records import Job, PlanQuote
from controller.states import JobState, Reason


def draw_held(shot: Snapshot, tongue: Tongue) -> View:
    """A held job: why, what would be agreed to, and the yes for those who may say it."""
    job = shot.job
    lines = [_draw_title(job, tongue), tongue("held-body"), *_describe_hold(job, tongue)]
    if job.held_for is Reason.TOO_LONG:
        approve: str | None = tongue("button-anyway")
    elif shot.admin:
        approve = tongue("button-approve")
    else:
        approve = None
        lines.append(tongue("held-asked" if shot.askable else "no-admin"))
    if job.deadline_at > shot.now:
        when = show_moment(job.deadline_at, shot.now, tongue)
        lines.append(tongue.rich("held-until", when=when))
    return View(as_list(*lines), held_keyboard(job, tongue, approve))


def draw_no_offer(shot: Snapshot, tongue: Tongue) -> View:
    """A job of the queue that no machine under the cap fits: the cheapest that would do."""
    job = shot.job
    lines = [_draw_title(job, tongue)]
    quote = shot.quote
    if quote is not None and _excludes_all(quote):
        lines.append(describe_cheapest(shot, quote, tongue))
        lines.append(tongue("no-offer-waits"))
    else:
        reason = describe_reason(job.waits_for, tongue)
        lines.append(tongue("queued-waits", reason=reason))
    if job.cancel_requested_at is not None:
        return View(as_list(*lines, tongue("cancelling-body")), cancelling_keyboard(tongue))
    if shot.confirming:
        return View(as_list(*lines, tongue("confirm-body")), confirm_keyboard(job, tongue))
    if not shot.admin and not shot.askable:
        lines.append(tongue("no-admin"))
    keyboard = no_offer_keyboard(
        job, tongue, _find_price(shot), admin=shot.admin, askable=shot.askable
    )
    return View(as_list(*lines), keyboard)


def draw_ask(shot: Snapshot, tongue: Tongue) -> View:
    """What an admin is asked; once it is settled, by whom and how, without buttons."""
    job = shot.job
    who = Bold(clean_name(shot.names.get(job.owner, str(job.owner)), 40))
    lines: list[Text | str] = [tongue.rich("ask-title", who=who), _draw_title(job, tongue)]
    if job.state is JobState.HELD:
        lines += _describe_hold(job, tongue)
        return View(as_list(*lines), ask_keyboard(job, tongue))
    if waits_for_price(job):
        if shot.quote is not None and _excludes_all(shot.quote):
            lines.append(describe_cheapest(shot, shot.quote, tongue))
        if (price := _find_price(shot)) is not None:
            return View(as_list(*lines), price_keyboard(job, tongue, price))
        return View(as_list(*lines))
    lines.append(_tell_decision(shot, tongue))
    return View(as_list(*lines))


def waits_for_price(job: Job) -> bool:
    """Whether a higher price would get a job of the queue going."""
    return job.state is JobState.QUEUED and job.waits_for is Reason.NO_OFFER


def _excludes_all(quote: PlanQuote) -> bool:
    """Whether the market answered, and nothing of it fits."""
    return not quote.unknown and not quote.fitting


def _find_price(shot: Snapshot) -> float | None:
    """Of the cheapest machine that would do; None where none is known."""
    return shot.quote.cheapest_usd_per_hour if shot.quote else None


def _draw_title(job: Job, tongue: Tongue) -> Text | str:
    title = tongue.rich("plan-title", name=show_name(job))
    return Text(title, " · ", show_task(job.task, tongue))


def _describe_hold(job: Job, tongue: Tongue) -> list[Text | str]:
    """Why, and what would be agreed to as far as it was written down."""
    data = job.held_data
    lines: list[Text | str] = [
        f"• {why}" for why in show_limits(data.get("over"), job.held_for, tongue)
    ]
    if gpu := data.get("gpu"):
        machine = clean_name(str(gpu), 40)
        if (usd := _read(data.get("usd_per_hour"))) > 0:
            lines.append(tongue("plan-gpu", gpu=machine, price=tongue.money(usd)))
        else:
            lines.append(tongue("running-on", machine=machine))
    if (seconds := _read(data.get("seconds"))) > 0:
        lines.append(tongue("held-time", time=tongue.duration(seconds)))
    most = _read(data.get("usd"))
    expected = _read(data.get("expected_usd"))
    if expected > 0:
        lines.append(tongue("plan-cost", money=tongue.money(expected)))
    if most > 0:
        lines.append(tongue("held-most", money=tongue.money(most)))
    return lines


def _tell_decision(shot: Snapshot, tongue: Tongue) -> Text | str:
    job = shot.job
    if job.reason is Reason.DECLINED:
        return _tell_who("ask-declined", job.approved_by, shot, tongue)
    if job.approved_by is not None and job.state is not JobState.DRAFT:
        return _tell_who("ask-approved", job.approved_by, shot, tongue)
    if job.state is JobState.CANCELLED and job.reason is Reason.EXPIRED:
        return tongue("ask-expired")
    return tongue("ask-settled")


def _tell_who(key: str, user: int | None, shot: Snapshot, tongue: Tongue) -> Text | str:
    if user is None:
        return tongue(f"{key}-by-nobody")
    who = clean_name(shot.names.get(user, str(user)), 40)
    return tongue.rich(key, who=Bold(who))


def _read(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

"""The end of a job as a new message that rings: the file, its link, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import PurePosixPath

from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.formatting import Code, ExpandableBlockQuote, Text, as_list

from bot.cards.ended import find_taken
from bot.cards.keyboards import is_on_web, result_keyboard, retry_keyboard, sampled_keyboard
from bot.cards.view import View
from bot.cards.wording import (
    describe_notes,
    describe_reason,
    find_rate,
    show_moment,
    show_name,
    show_picture,
    show_range,
    show_task,
)
from bot.texts import Tongue, clean_name
from controller.records import Job, PlanQuote
from remote_runner.protocol import Facts

#: Of a caption, in UTF-16 units (Bot API: sendVideo).
_CAPTION_LENGTH = 1024
#: How a result was handed out where nothing was in the way.
AS_FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a result can be fetched, and until when; an address of this computer lasts."""

    url: str
    expires_at: float | None = None


class Obstacle(StrEnum):
    """Why a result is not sent as a file."""

    LARGE = "large"  #: over the platform's limit
    REFUSED = "refused"  #: by the platform
    FORBIDDEN = "forbidden"  #: the chat takes no files
    BROKEN = "broken"  #: the upload failed again and again


def draw_result(job: Job, link: Link, why: str, tongue: Tongue, *, limit: int, now: float) -> View:
    """The end of a job that is done: with the file (:data:`AS_FILE`), or with an
    :class:`Obstacle` and its link, or where it lies if it has no address on the web."""
    keyboard = result_keyboard(job, link.url, why, tongue)
    tail: list[Text | str] = []
    if why != AS_FILE:
        shown = tongue("size-mb", value=tongue.number(limit / 1e6, 0))
        tail.append(tongue(f"result-{Obstacle(why)}", limit=shown))
        if not is_on_web(link.url):
            name = Code(job.output_key or name_result(job))
            tail.append(tongue.rich("result-local", name=name))
    if is_on_web(link.url) and link.expires_at is not None:
        when = show_moment(link.expires_at, now, tongue)
        tail.append(tongue.rich("result-expires", when=when))
    return View(draw_caption(job, tongue, tail), keyboard)


def draw_caption(job: Job, tongue: Tongue, tail: Iterable[Text | str] = ()) -> Text:
    """What the result is: picture, length, size, time and money taken, what was left out or
    assumed, the hash; ``tail`` goes before the last two.

    Notes that would not fit in a caption are left out.
    """
    lines: list[Text | str] = [tongue.rich("result-title", name=show_name(job))]
    if job.result and job.result.facts:
        lines += _describe_output(job.result.facts, tongue)
    if job.output_bytes is not None:
        lines.append(tongue("result-bytes", size=tongue.size(job.output_bytes)))
    if (taken := find_taken(job)) is not None:
        lines.append(tongue("result-took", time=tongue.duration(taken)))
    if job.result and job.result.resumed_frames:
        frames = tongue("frames", count=job.result.resumed_frames)
        lines.append(tongue("result-resumed", frames=frames))
    if job.cost_usd > 0:
        lines.append(tongue("done-cost", money=tongue.money(job.cost_usd)))
    lines += tail
    quoted = [Code(f"SHA-256 {job.output_sha256}")] if job.output_sha256 else []
    if notes := describe_notes(_collect_notes(job), job.result, tongue):
        lines.append(tongue("result-notes"))
        room = _CAPTION_LENGTH - len(as_list(*lines, *quoted))
        lines += _choose_fitting(notes, room)
    if quoted:
        lines.append(ExpandableBlockQuote(*quoted))
    return as_list(*lines)


def draw_sample(
    draft: Job,
    sample: Job,
    tongue: Tongue,
    *,
    quote: PlanQuote | None,
    waits_until: float | None,
    now: float,
) -> View:
    """A sample that is done: how fast it was, what the whole will take, and how to go on."""
    lines: list[Text | str] = [
        tongue.rich("sample-title", name=show_name(draft), what=show_task(sample.task, tongue))
    ]
    if sample.result and sample.result.fps > 0:
        speed = tongue.fps(sample.result.fps)
        device = clean_name(sample.result.device, 40) if sample.result.device else ""
        lines.append(
            tongue("sample-speed-on", fps=speed, device=device)
            if device
            else tongue("sample-speed", fps=speed)
        )
    if quote is not None:
        lines.append(tongue("sample-whole", quote=show_quote(quote, tongue)))
    if waits_until is not None and waits_until > now:
        when = show_moment(waits_until, now, tongue)
        lines.append(tongue.rich("sample-waits", when=when))
    return View(as_list(*lines), sampled_keyboard(draft, tongue))


def draw_sample_failure(draft: Job, sample: Job, tongue: Tongue) -> View:
    """Why there is no sample; the plan card stays as it was."""
    return View(
        as_list(
            tongue.rich("sample-failed", name=show_name(draft)),
            tongue("failed-reason", reason=describe_reason(sample.reason, tongue)),
        ),
        sampled_keyboard(draft, tongue),
    )


def show_quote(quote: PlanQuote, tongue: Tongue) -> str:
    """``2 min – 4 min, $0.01–$0.02``."""
    times = show_range(
        tongue.duration(quote.low_seconds), tongue.duration(quote.high_seconds), tongue
    )
    if not quote.paid:
        return times
    money = show_range(tongue.money(quote.low_usd), tongue.money(quote.high_usd), tongue)
    return f"{times}, {money}"


def draw_gone(job: Job, tongue: Tongue) -> View:
    """The result was there and is not any more."""
    return View(
        as_list(draw_caption(job, tongue), tongue("result-gone")), retry_keyboard(job, tongue)
    )


def draw_failure(job: Job, tongue: Tongue) -> View:
    """Why a job failed, with a button to try again."""
    keyboard: InlineKeyboardMarkup = retry_keyboard(job, tongue)
    text = as_list(
        tongue.rich("failed-title", name=show_name(job)),
        tongue("failed-reason", reason=describe_reason(job.reason, tongue)),
    )
    return View(text, keyboard)


def name_result(job: Job) -> str:
    """The file name under which a result is handed out."""
    name = PurePosixPath(job.output_key or job.source_name)
    # what was done, the id and the suffix stay whole, however long the user's name is
    tail = f"_{job.task.what(Fraction(job.facts.fps))}_{job.short_id}"
    if not name.stem.endswith(tail):
        return clean_name(name.name, 100)
    return f"{clean_name(name.stem.removesuffix(tail), 60)}{tail}{name.suffix}"


def _choose_fitting(notes: Iterable[str], room: int) -> list[str]:
    """The notes as lines, without those that do not fit in ``room`` UTF-16 units."""
    chosen = []
    for note in notes:
        line = f"• {note}"
        if (cost := 1 + len(Text(line))) <= room:
            chosen.append(line)
            room -= cost
    return chosen


def _describe_output(facts: Facts, tongue: Tongue) -> list[str]:
    size = show_picture(facts.width, facts.height)
    length = tongue.duration(facts.duration_s)
    frames = tongue("frames", count=facts.frames)
    return [
        tongue("result-picture", size=size, fps=tongue.fps(find_rate(facts))),
        tongue("result-length", time=length, frames=frames),
    ]


def _collect_notes(job: Job) -> Iterable[str]:
    return (*job.facts.notes, *(job.result.notes if job.result else ()))

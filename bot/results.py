"""The end of a job as a new message that rings: the file, its link, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.formatting import Code, Text, TextLink, as_list

from bot.cards import View, find_taken
from bot.keyboards import link_keyboard, retry_keyboard
from bot.texts import Tongue, clean_name
from bot.wording import (
    describe_notes,
    describe_reason,
    find_rate,
    show_name,
    show_picture,
)
from controller.records import Job
from remote_runner.protocol import Facts


def draw_caption(job: Job, tongue: Tongue) -> Text:
    """What the result is: picture, length, size, time taken, what was assumed or left out."""
    lines: list[Text | str] = [tongue.rich("result-title", name=show_name(job))]
    if job.result and job.result.facts:
        lines += _describe_output(job.result.facts, tongue)
    if job.output_bytes is not None:
        lines.append(tongue("result-bytes", size=tongue.size(job.output_bytes)))
    if (taken := find_taken(job)) is not None:
        lines.append(tongue("result-took", time=tongue.duration(taken)))
    if notes := describe_notes(_collect_notes(job), job.result, tongue):
        lines += [tongue("result-notes"), *(f"• {note}" for note in notes)]
    return as_list(*lines)


def draw_link(job: Job, link: str, limit: int, tongue: Tongue) -> View:
    """The result as a link. Addresses that Telegram takes for links become one, and a button."""
    shown = tongue("size-mb", value=tongue.number(limit / 1e6, 0))
    is_web = link.startswith(("http://", "https://"))
    # an address of hundreds of characters is not for reading
    where = TextLink(name_result(job), url=link) if is_web else Code(link)
    text = as_list(draw_caption(job, tongue), tongue("result-link", limit=shown), where)
    return View(text, link_keyboard(link, tongue) if is_web else None)


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
    tail = "_".join(name.stem.rsplit("_", 3)[1:]) if job.output_key else ""
    head = name.stem.removesuffix(tail).rstrip("_")
    return f"{clean_name(head, 60)}{f'_{tail}' if tail else ''}{name.suffix}"


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

"""The end of a job as a new message that rings: the file, its link, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction
from pathlib import PurePosixPath

from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.formatting import Code, Text, TextLink, as_list

from bot.cards.card import View, find_taken
from bot.cards.keyboards import link_keyboard, retry_keyboard
from bot.cards.wording import (
    describe_notes,
    describe_reason,
    find_rate,
    show_name,
    show_picture,
)
from bot.texts import Tongue, clean_name
from controller.records import Job
from remote_runner.protocol import Facts

#: Of a caption, in UTF-16 units (Bot API: sendVideo).
_CAPTION_LENGTH = 1024


class Obstacle(StrEnum):
    """Why a result is not sent as a file."""

    LARGE = "large"  #: over the platform's limit
    REFUSED = "refused"  #: by the platform
    FORBIDDEN = "forbidden"  #: the chat takes no files
    BROKEN = "broken"  #: the upload failed again and again


def draw_caption(job: Job, tongue: Tongue) -> Text:
    """What the result is: picture, length, size, time taken, what was left out or assumed.

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
    if notes := describe_notes(_collect_notes(job), job.result, tongue):
        lines.append(tongue("result-notes"))
        lines += _choose_fitting(notes, _CAPTION_LENGTH - len(as_list(*lines)))
    return as_list(*lines)


def draw_link(job: Job, link: str, why: Obstacle, limit: int, tongue: Tongue) -> View:
    """The result as a link and a button, or where it lies if it has no address on the web."""
    shown = tongue("size-mb", value=tongue.number(limit / 1e6, 0))
    lines: list[Text | str] = [draw_caption(job, tongue), tongue(f"result-{why}", limit=shown)]
    if not link.startswith(("http://", "https://")):
        name = Code(job.output_key or name_result(job))
        return View(as_list(*lines, tongue.rich("result-local", name=name)))
    # an address of hundreds of characters is not for reading
    lines += [tongue("result-link"), TextLink(name_result(job), url=link)]
    return View(as_list(*lines), link_keyboard(link, tongue))


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

"""The end of a batch as new messages: what came of it, and a link for each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiogram.utils.formatting import Code, Text, TextLink, as_list

from bot.cards.batch import WORTH_SHOWING_USD, name_batch, retry_button
from bot.cards.ended import find_taken
from bot.cards.keyboards import is_on_web, make_keyboard
from bot.cards.results import name_result
from bot.cards.view import BatchSnapshot, View
from bot.cards.wording import describe_reason
from bot.texts import Tongue, clean_name
from controller.records import Job
from controller.states import JobState

_NAME_LENGTH = 60
#: The platform drops what a message has beyond the first hundred.
_ENTITIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the end of a batch is told from."""

    shot: BatchSnapshot
    links: Mapping[str, str] = field(default_factory=dict)
    """By job that has a result: where that can be fetched, or a path of this computer."""


def draw_ends(ending: Ending, tongue: Tongue) -> list[View]:
    """As many messages as it takes; the last one has the button to try again what failed."""
    shot = ending.shot
    lines = _describe_whole(shot, tongue)
    lines += [_draw_line(ending, job, tongue) for job in shot.jobs if _is_worth_telling(shot, job)]
    texts = split_lines(lines)
    failed = shot.count(JobState.FAILED)
    keyboard = make_keyboard([retry_button(shot.batch, tongue)]) if failed else None
    return [
        View(text, keyboard if number == len(texts) else None)
        for number, text in enumerate(texts, 1)
    ]


def _describe_whole(shot: BatchSnapshot, tongue: Tongue) -> list[Text | str]:
    done, failed = shot.count(JobState.DONE), shot.count(JobState.FAILED)
    lines: list[Text | str] = [tongue.rich("batch-end-title", name=name_batch(shot.batch, tongue))]
    skipped = sum(map(shot.is_skipped, shot.jobs))
    counts = {
        "batch-count-done": done,
        "batch-count-failed": failed,
        "batch-count-cancelled": shot.count(JobState.CANCELLED) - skipped,
        "batch-count-skipped": skipped,
        "batch-count-refused": len(shot.batch.refused),
    }
    told = [tongue(key, count=count) for key, count in counts.items() if count]
    lines.append(" · ".join(told))
    started = [job.started_at for job in shot.jobs if job.started_at is not None]
    ended = [job.ended_at for job in shot.jobs if job.ended_at is not None]
    if started and ended and max(ended) > min(started):
        taken = tongue.duration(max(ended) - min(started))
        lines.append(tongue("done-took", time=taken))
    if shot.spent_usd >= WORTH_SHOWING_USD:
        lines.append(tongue("done-cost", money=tongue.money(shot.spent_usd)))
    return [*lines, ""]


def _is_worth_telling(shot: BatchSnapshot, job: Job) -> bool:
    return job.state is not JobState.CANCELLED or shot.is_skipped(job)


def _draw_line(ending: Ending, job: Job, tongue: Tongue) -> Text:
    shot = ending.shot
    name = Code(clean_name(job.source_name, _NAME_LENGTH))
    if job.state is JobState.FAILED:
        reason = describe_reason(job.reason, tongue)
        return tongue.rich("batch-end-failed", name=name, reason=reason)
    if shot.is_skipped(job):
        old = shot.done_before[job.id]
        return tongue.rich("batch-end-skipped", name=name, link=_show_link(ending, old))
    taken = find_taken(job)
    time = tongue.duration(taken) if taken is not None else ""
    return tongue.rich("batch-end-done", name=name, time=time, link=_show_link(ending, job))


def _show_link(ending: Ending, job: Job) -> Text:
    link = ending.links.get(job.id, "")
    title = clean_name(name_result(job), _NAME_LENGTH)
    return TextLink(title, url=link) if is_on_web(link) else Code(job.output_key or title)


def split_lines(lines: Sequence[Text | str], limit: int = 4096) -> list[Text]:
    """The lines as few messages as possible, none longer than ``limit`` UTF-16 units.

    Nor with more links and other entities than a message keeps.
    """
    pages: list[list[Text | str]] = [[]]
    used = marked = 0
    for line in lines:
        cost, marks = 1 + len(Text(line)), len(Text(line).render()[1])
        if pages[-1] and (used + cost > limit or marked + marks > _ENTITIES):
            pages.append([])
            used = marked = 0
        pages[-1].append(line)
        used += cost
        marked += marks
    return [as_list(*page) for page in pages if page]

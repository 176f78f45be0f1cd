"""A job that waits or runs: stages, bar, end, money, what went wrong, and the end of its log.

A card that became a photo has room for a caption only: lines go by importance, the log first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import ExpandableBlockQuote, Text, as_list

from bot.cards.callbacks import Act, DetailsPress
from bot.cards.keyboards import (
    cancelling_keyboard,
    confirm_keyboard,
    is_on_web,
    job_button,
    make_keyboard,
)
from bot.cards.view import Snapshot, View
from bot.cards.wording import (
    describe_reason,
    find_share,
    show_moment,
    show_name,
    show_task,
)
from bot.texts import Tongue, clean_name
from controller.records import Attempt, Job
from controller.states import MAX_ATTEMPTS, AttemptState, JobState, Reason
from remote_runner.protocol import Phase, Status

#: Statuses come every few seconds; after this long without one the card says so.
SILENT_AFTER_S = 45.0
#: Of a caption, in UTF-16 units (Bot API: sendPhoto).
CAPTION_UNITS = 1024
_LOG_LINES, _LOG_UNITS, _LINE_CHARS = 12, 900, 120
_STAGES = (Phase.FETCHING, Phase.PROCESSING, Phase.VERIFYING, Phase.UPLOADING)


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its weight: the heaviest goes first where there is no room."""

    text: Text | str
    weight: int = 0


def draw_waiting(shot: Snapshot, tongue: Tongue) -> View:
    """A job of the queue: its place, when it is expected to begin, how long it takes."""
    lines = _start_lines(shot, tongue)
    lines.append(Line(_describe_queue(shot, tongue)))
    if shot.combined:
        lines.append(Line(tongue("group-elsewhere")))
    elif (starts_at := _find_start(shot)) is not None:
        when = show_moment(starts_at, shot.now, tongue)
        lines.append(Line(tongue.rich("queued-starts", when=when), 2))
    if shot.estimate and not shot.combined:
        how = "plan-time-measured" if shot.estimate.measured else "plan-time-formula"
        time = tongue.duration(shot.estimate.seconds)
        lines.append(Line(tongue(how, time=time), 3))
    return _finish(shot, tongue, lines)


def draw_running(shot: Snapshot, tongue: Tongue) -> View:
    """A job on a machine. In a group the common card has the progress."""
    lines = _start_lines(shot, tongue)
    attempt = shot.attempts[-1] if shot.attempts else None
    if shot.combined:
        lines.append(Line(tongue("group-elsewhere")))
        return _finish(shot, tongue, lines)
    if attempt is None or attempt.state is AttemptState.ASSIGNED or attempt.status is None:
        lines.append(Line(tongue("assigned-body")))
    else:
        lines += _describe_stages(shot, attempt.status, tongue)
        lines += _describe_end(shot, attempt, attempt.status, tongue)
    lines += _describe_machine(shot, tongue)
    return _finish(shot, tongue, lines)


def describe_stage(job: Job, attempt: Attempt | None, tongue: Tongue) -> str:
    """Where a running job is, in a word or with its percentage."""
    if attempt is None or attempt.state is not AttemptState.RUNNING or attempt.status is None:
        return tongue("stage-preparing")
    if attempt.status.phase is Phase.PROCESSING:
        return tongue.percent(find_share(attempt.status))
    return name_stage(attempt.status.phase, job, tongue)


def find_ready_at(attempt: Attempt | None, now: float) -> float | None:
    """When the processing is expected to end; None where nothing is known."""
    status = attempt.status if attempt else None
    if attempt is None or status is None or status.eta_s is None:
        return None
    if status.phase is not Phase.PROCESSING:
        return None
    seen_at = attempt.seen_at or attempt.assigned_at
    return max(seen_at + status.eta_s, now + 1) if now - seen_at <= SILENT_AFTER_S else None


def name_stage(phase: Phase, job: Job, tongue: Tongue) -> str:
    if phase is Phase.PROCESSING:
        return tongue(f"phase-processing-{job.task.mode}")
    return tongue(f"phase-{phase}")


def fit(lines: Sequence[Line], limit: int) -> Text:
    """The lines that fit in ``limit`` UTF-16 units: heavy ones are left out first."""
    kept = list(lines)
    while len(text := as_list(*(each.text for each in kept))) > limit and len(kept) > 1:
        heaviest = max(kept, key=lambda each: each.weight)
        kept.remove(heaviest)
    return cut(text, limit)


def cut(text: Text, limit: int) -> Text:
    """The text, or as much of it as fits in ``limit`` UTF-16 units."""
    if len(text) <= limit:
        return text
    # a slice counts characters, and some of them take two units
    count = limit - 1
    while (over := len(text[:count]) - (limit - 1)) > 0:
        count -= (over + 1) // 2
    return Text(text[:count], "…")


def _find_start(shot: Snapshot) -> float | None:
    """When it is expected to get a machine, where that is worth saying."""
    quote = shot.quote
    if quote is None or shot.job.waits_for or quote.at + quote.starts_in_s <= shot.now + 1:
        return None
    return quote.at + quote.starts_in_s


def _describe_queue(shot: Snapshot, tongue: Tongue) -> str:
    if shot.job.waits_for:
        reason = describe_reason(shot.job.waits_for, tongue)
        return tongue("queued-waits", reason=reason)
    if shot.job.attempts and shot.job.not_before > shot.now:
        return tongue("queued-again")
    return tongue("queued-body", position=shot.position)


def _describe_stages(shot: Snapshot, status: Status, tongue: Tongue) -> list[Line]:
    lines: list[Line] = []
    reached = _STAGES.index(status.phase) if status.phase in _STAGES else -1
    if status.phase is Phase.FINISHED:
        reached = len(_STAGES)
    for index, phase in enumerate(_STAGES):
        mark = (
            "stage-done" if index < reached else "stage-now" if index == reached else "stage-later"
        )
        stage = tongue(mark, stage=name_stage(phase, shot.job, tongue))
        lines.append(Line(stage, 0 if index == reached else 4))
        if index == reached and phase is Phase.PROCESSING:
            lines += _describe_frames(status, tongue)
    return lines


def _describe_frames(status: Status, tongue: Tongue) -> list[Line]:
    lines = [Line(tongue.bar(find_share(status)))]
    if status.total > 0:
        parts = [tongue("frames-of", done=status.done, total=status.total)]
        if status.fps > 0:
            parts.append(tongue.fps(status.fps))
        lines.append(Line(" · ".join(parts), 2))
    return lines


def _describe_end(shot: Snapshot, attempt: Attempt, status: Status, tongue: Tongue) -> list[Line]:
    seen_at = attempt.seen_at or attempt.assigned_at
    if shot.now - seen_at > SILENT_AFTER_S:
        when = show_moment(seen_at, shot.now, tongue)
        return [Line(tongue.rich("running-silent", when=when), 1)]
    if (ready_at := find_ready_at(attempt, shot.now)) is not None:
        when = show_moment(ready_at, shot.now, tongue)
        return [Line(tongue.rich("running-eta", when=when), 1)]
    return []


def _describe_machine(shot: Snapshot, tongue: Tongue) -> list[Line]:
    lines = []
    if shot.machine:
        machine = clean_name(shot.machine, 40)
        lines.append(Line(tongue("running-on", machine=machine), 3))
    if shot.spent_usd >= 0.0005:
        lines.append(Line(tongue("running-spent", money=tongue.money(shot.spent_usd)), 3))
    return lines


def _start_lines(shot: Snapshot, tongue: Tongue) -> list[Line]:
    """Title, and the attempts that came to nothing."""
    title = tongue.rich("plan-title", name=show_name(shot.job))
    lines = [Line(Text(title, " · ", show_task(shot.job.task, tongue)))]
    ended = [each for each in shot.attempts if each.state.is_terminal and each.reason]
    lines += [Line(_describe_attempt(each, shot.now, tongue), 5) for each in ended[-3:-1]]
    lines += [Line(_describe_attempt(each, shot.now, tongue), 2) for each in ended[-1:]]
    number = shot.attempts[-1].number if shot.attempts else 0
    if ended and shot.job.state is JobState.QUEUED and number < MAX_ATTEMPTS:
        number += 1
    if ended and number > ended[-1].number:
        lines.append(Line(tongue("attempt-next", number=number, total=MAX_ATTEMPTS), 1))
    return lines


def _describe_attempt(attempt: Attempt, now: float, tongue: Tongue) -> Text | str:
    if attempt.reason is Reason.SILENT and attempt.seen_at is not None:
        when = show_moment(attempt.seen_at, now, tongue)
        return tongue.rich("attempt-silent", number=attempt.number, when=when)
    reason = describe_reason(attempt.reason, tongue)
    return tongue("attempt-ended", number=attempt.number, reason=reason)


def _finish(shot: Snapshot, tongue: Tongue, lines: list[Line]) -> View:
    job = shot.job
    if job.cancel_requested_at is not None:
        lines.append(Line(tongue("cancelling-body")))
        keyboard = cancelling_keyboard(tongue)
    elif shot.confirming:
        lines.append(Line(tongue("confirm-body")))
        keyboard = confirm_keyboard(job, tongue)
    else:
        keyboard = _draw_keyboard(shot, tongue)
    if shot.detailed and not shot.combined:
        lines.append(Line(_draw_log(shot.details, tongue), 9))
    limit = CAPTION_UNITS if shot.frame else 4096
    return View(fit(lines, limit), keyboard, frame=shot.frame and not shot.combined)


def _draw_keyboard(shot: Snapshot, tongue: Tongue) -> InlineKeyboardMarkup:
    job, rows = shot.job, []
    if is_on_web(shot.preview) and not shot.combined:
        text = tongue("button-watch")
        rows.append([InlineKeyboardButton(text=text, url=shot.preview)])
    last = [job_button(job, Act.ASK, tongue("button-cancel"), ButtonStyle.DANGER)]
    if job.state is JobState.RUNNING and not shot.combined:
        label = tongue("button-details-less" if shot.detailed else "button-details")
        data = DetailsPress(job=job.id).pack()
        last.insert(0, InlineKeyboardButton(text=label, callback_data=data))
    return make_keyboard(*rows, last)


def _draw_log(lines: Sequence[str], tongue: Tongue) -> Text:
    """The last lines that fit, collapsed."""
    shown: list[str] = []
    room = _LOG_UNITS
    for line in reversed(lines[-_LOG_LINES:]):
        tidy = clean_name(line, _LINE_CHARS)
        room -= 1 + len(Text(tidy))
        if room < 0:
            break
        shown.insert(0, tidy)
    return ExpandableBlockQuote("\n".join(shown) or tongue("details-none"))

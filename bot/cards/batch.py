"""The card of a batch: a line a file, ten a page, and what they cost and take together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.callbacks import BATCH_MARK, BatchAct, BatchPress, PagePress
from bot.cards.keyboards import cancelling_keyboard, make_keyboard
from bot.cards.options import OPTIONS, Subject, draw_options_of
from bot.cards.plan import show_limits
from bot.cards.presets import Preset, find_preset
from bot.cards.progress import describe_stage, find_ready_at
from bot.cards.view import BatchSnapshot, View
from bot.cards.wording import (
    describe_reason,
    find_share,
    show_moment,
    show_picture,
    show_range,
    show_task,
)
from bot.texts import Tongue, clean_name
from controller.records import Batch, Job
from controller.states import JobState, Reason

PAGE_LENGTH = 10
#: Less than that would be shown as nothing.
WORTH_SHOWING_USD = 0.0005
_NAME_LENGTH = 32
_MARKS = {
    JobState.DRAFT: "▫️",
    JobState.HELD: "⏸",
    JobState.QUEUED: "🕓",
    JobState.RUNNING: "⚙️",
    JobState.DONE: "✅",
    JobState.FAILED: "❌",
    JobState.CANCELLED: "🚫",
}
_WORKING = (JobState.QUEUED, JobState.RUNNING)


def draw_batch(shot: BatchSnapshot, tongue: Tongue) -> View:
    """In any state: files coming in, plan, running, over."""
    lines: list[Text | str] = [_draw_title(shot, tongue)]
    if shot.batch.taken_at is None:
        came = len(shot.jobs) + len(shot.batch.refused)
        lines.append(tongue("batch-looking", done=came, total=max(came, shot.batch.expected)))
        return View(as_list(*lines))
    if shot.setting and shot.drafts and not shot.confirming:
        return _draw_settings(shot, tongue)
    lines += _describe_whole(shot, tongue)
    rows = _list_rows(shot, tongue)
    pages = max(1, -(-len(rows) // PAGE_LENGTH))
    page = min(shot.page, pages - 1)
    if rows:
        lines += ["", *rows[page * PAGE_LENGTH : (page + 1) * PAGE_LENGTH]]
    keyboard = _draw_keyboard(shot, tongue, page, pages)
    if shot.confirming and not shot.is_over:
        lines += ["", tongue("batch-confirm")]
    return View(as_list(*lines), keyboard)


def draw_batch_ask(shot: BatchSnapshot, tongue: Tongue) -> View:
    """What an admin is asked about a batch; without buttons once it is settled."""
    who = Bold(clean_name(shot.owner, 40))
    lines: list[Text | str] = [tongue.rich("ask-title", who=who), _draw_title(shot, tongue)]
    if all(job.held_for is Reason.TOO_LONG for job in shot.held):
        declined = any(job.reason is Reason.DECLINED for job in shot.jobs)
        lines.append(tongue("batch-ask-declined" if declined else "batch-ask-settled"))
        return View(as_list(*lines))
    lines += _describe_holds(shot, tongue)
    usd = sum(float(job.held_data.get("usd") or 0) for job in shot.held)
    seconds = sum(float(job.held_data.get("seconds") or 0) for job in shot.held)
    if seconds > 0:
        lines.append(tongue("batch-time-formula", time=tongue.duration(seconds)))
    if usd > 0:
        lines.append(tongue("batch-cost", money=tongue.money(usd)))
    yes = _approve_button(shot, tongue)
    no = _button(shot.batch, BatchAct.DECLINE, tongue("button-decline"), ButtonStyle.DANGER)
    return View(as_list(*lines), make_keyboard([yes, no]))


def mark_held(jobs: Iterable[Job]) -> str:
    """8 hex digits that differ when other files wait for a yes, or on other terms."""
    held = [f"{job.id} {job.version}" for job in jobs if job.state is JobState.HELD]
    return hashlib.sha256("\n".join(held).encode()).hexdigest()[:8]


def find_batch_share(shot: BatchSnapshot) -> float:
    """How much of all frames is done, 0 to 1; what is left out counts for nothing."""
    wanted = [job for job in shot.jobs if job.started_at is not None]
    total = sum(max(1, job.facts.frames) for job in wanted)
    done = 0.0
    for job in wanted:
        frames = max(1, job.facts.frames)
        if job.state.is_terminal:
            done += frames
        elif attempt := shot.attempts.get(job.id):
            done += frames * find_share(attempt.status)
    return done / total if total else 0.0


def name_batch(batch: Batch, tongue: Tongue) -> Text:
    """By the folder that was asked for, or simply the files of a chat."""
    if batch.name:
        return Text(Code(clean_name(batch.name, 60)))
    return Text(tongue("batch-album"))


def _draw_settings(shot: BatchSnapshot, tongue: Tongue) -> View:
    """Of all that nobody has started; the first file's stand for those of all."""
    files = [job.facts for job in shot.drafts]
    name = name_batch(shot.batch, tongue)
    subject = Subject(id=BATCH_MARK + shot.batch.id, name=name, files=files)
    wanted = any(not shot.is_skipped(job) for job in shot.drafts)
    extra = as_list(*_describe_quote(shot, tongue)) if wanted else None
    return draw_options_of(subject, shot.drafts[0].task, shot.setting, tongue, extra)


def _draw_title(shot: BatchSnapshot, tongue: Tongue) -> Text:
    title = tongue.rich(
        "batch-title",
        name=name_batch(shot.batch, tongue),
        files=tongue("files", count=len(shot.jobs)),
    )
    tasks = {job.task: None for job in shot.jobs}
    if len(tasks) != 1:
        return title
    return Text(title, " · ", show_task(next(iter(tasks)), tongue))


def _describe_whole(shot: BatchSnapshot, tongue: Tongue) -> list[Text | str]:
    lines: list[Text | str] = []
    if any(not shot.is_skipped(job) for job in shot.drafts):
        lines += _describe_quote(shot, tongue)
    if skipped := sum(map(shot.is_skipped, shot.jobs)):
        lines.append(tongue("batch-skipped", files=tongue("files", count=skipped)))
    lines += _describe_holds(shot, tongue)
    if shot.was_started:
        lines += _describe_progress(shot, tongue)
    if (sample := shot.sample) is not None and not sample.state.is_terminal:
        attempt = shot.attempts.get(sample.id)
        share = find_share(attempt.status if attempt else None)
        lines += [tongue("plan-sample"), tongue.bar(share)]
    if shot.is_over and not shot.was_started:
        lines.append(tongue("batch-nothing" if not shot.jobs else "batch-unstarted"))
    return lines


def _describe_quote(shot: BatchSnapshot, tongue: Tongue) -> list[Text | str]:
    quote = shot.quote
    if quote is None:
        return [tongue("batch-asking")]
    if not quote.files:
        return [tongue("batch-no-quote")]
    low, high = tongue.duration(quote.low_seconds), tongue.duration(quote.high_seconds)
    how = "batch-time-measured" if quote.measured else "batch-time-formula"
    lines: list[Text | str] = [tongue(how, time=show_range(low, high, tongue))]
    if quote.paid:
        money = show_range(tongue.money(quote.low_usd), tongue.money(quote.high_usd), tongue)
        lines.append(tongue("batch-cost", money=money))
    if quote.gpus:
        gpus = ", ".join(clean_name(each, 30) for each in quote.gpus[:3])
        lines.append(tongue("batch-gpus", gpus=gpus))
    if quote.unknown:
        lines.append(tongue("batch-unknown", files=tongue("files", count=quote.unknown)))
    for reason, count in sorted((quote.held or {}).items()):
        files = tongue("files", count=count)
        lines.append(
            tongue(
                "batch-will-ask", files=files, reason=", ".join(show_limits(None, reason, tongue))
            )
        )
    return lines


def _describe_holds(shot: BatchSnapshot, tongue: Tongue) -> list[str]:
    """A line for each reason."""
    whys = Counter(_describe_hold(job, tongue) for job in shot.held)
    return [
        tongue("batch-held", files=tongue("files", count=count), reason=why)
        for why, count in whys.items()
    ]


def _describe_hold(job: Job, tongue: Tongue) -> str:
    return ", ".join(show_limits(job.held_data.get("over"), job.held_for, tongue))


def _describe_progress(shot: BatchSnapshot, tongue: Tongue) -> list[Text | str]:
    lines: list[Text | str] = []
    if not shot.is_over:
        lines.append(tongue.bar(find_batch_share(shot)))
    counts = [
        tongue(f"batch-count-{state}", count=count)
        for state in (JobState.RUNNING, JobState.QUEUED, JobState.DONE, JobState.FAILED)
        if (count := shot.count(state))
    ]
    if counts:
        lines.append(" · ".join(counts))
    if shot.spent_usd >= WORTH_SHOWING_USD:
        key = "done-cost" if shot.is_over else "running-spent"
        lines.append(tongue(key, money=tongue.money(shot.spent_usd)))
    if (ready_at := _find_ready_at(shot)) is not None:
        when = show_moment(ready_at, shot.now, tongue)
        lines.append(tongue.rich("running-eta", when=when))
    return lines


def _find_ready_at(shot: BatchSnapshot) -> float | None:
    """By the pace so far: since the first start, so much of all frames."""
    share = find_batch_share(shot)
    started_at = min((job.started_at for job in shot.jobs if job.started_at), default=None)
    if started_at is None or shot.is_over or not 0.02 <= share < 1:
        return None
    ends = [find_ready_at(each, shot.now) or 0.0 for each in shot.attempts.values()]
    by_pace = shot.now + (shot.now - started_at) * (1 - share) / share
    waiting = shot.count(JobState.QUEUED)
    return by_pace if waiting else max([*ends, 0.0]) or by_pace


def _list_rows(shot: BatchSnapshot, tongue: Tongue) -> list[Text | str]:
    rows: list[Text | str] = [_draw_row(shot, job, tongue) for job in shot.jobs]
    for name, code in shot.batch.refused:
        shown = Code(clean_name(name.rpartition("/")[2], _NAME_LENGTH))
        rows.append(
            tongue.rich("batch-refused", name=shown, reason=_describe_refusal(code, tongue))
        )
    return rows


def _describe_refusal(code: str, tongue: Tongue) -> str:
    """In a few words: the texts of errors speak of one file and what to do with it."""
    keys = (f"batch-why-{code}", f"reason-{code}")
    return tongue(next((key for key in keys if tongue.has(key)), "batch-why-other"))


def _draw_row(shot: BatchSnapshot, job: Job, tongue: Tongue) -> Text:
    name = Code(clean_name(job.source_name, _NAME_LENGTH))
    if shot.is_skipped(job):
        return tongue.rich("batch-row", mark="↩️", name=name, state=tongue("batch-row-skipped"))
    return tongue.rich(
        "batch-row", mark=_MARKS[job.state], name=name, state=_describe_state(shot, job, tongue)
    )


def _describe_state(shot: BatchSnapshot, job: Job, tongue: Tongue) -> str:
    match job.state:
        case JobState.DRAFT:
            size = show_picture(job.facts.width, job.facts.height)
            return f"{size}, {tongue.duration(job.facts.duration_s)}"
        case JobState.RUNNING if job.cancel_requested_at is not None:
            return tongue("toast-cancelling")
        case JobState.RUNNING:
            return describe_stage(job, shot.attempts.get(job.id), tongue)
        case JobState.QUEUED if job.waits_for:
            return describe_reason(job.waits_for, tongue)
        case JobState.FAILED:
            return describe_reason(job.reason, tongue)
        case JobState.DONE if job.cost_usd > 0:
            return tongue.money(job.cost_usd)
    return tongue(f"state-{job.state}")


def _draw_keyboard(
    shot: BatchSnapshot, tongue: Tongue, page: int, pages: int
) -> InlineKeyboardMarkup | None:
    rows: list[list[InlineKeyboardButton]] = []
    if pages > 1:
        rows.append(_page_row(shot.batch, page, pages))
    active = [job for job in shot.jobs if not job.state.is_terminal]
    if active and all(job.cancel_requested_at is not None for job in active):
        rows += cancelling_keyboard(tongue).inline_keyboard
    elif shot.confirming and not shot.is_over:
        yes = _button(shot.batch, BatchAct.YES, tongue("button-yes"), ButtonStyle.DANGER)
        rows.append([yes, _button(shot.batch, BatchAct.NO, tongue("button-no"))])
    elif shot.is_over:
        if shot.count(JobState.FAILED):
            rows.append([retry_button(shot.batch, tongue)])
    else:
        rows += _decision_rows(shot, tongue)
        ask = _button(shot.batch, BatchAct.ASK, tongue("button-cancel-all"), ButtonStyle.DANGER)
        rows.append([*([_settings_button(shot.batch, tongue)] if shot.drafts else []), ask])
    return make_keyboard(*rows) if rows else None


def retry_button(batch: Batch, tongue: Tongue) -> InlineKeyboardButton:
    label = tongue("button-retry-failed")
    return _button(batch, BatchAct.RETRY, label, ButtonStyle.PRIMARY)


def _decision_rows(shot: BatchSnapshot, tongue: Tongue) -> list[list[InlineKeyboardButton]]:
    rows: list[list[InlineKeyboardButton]] = []
    batch, drafts = shot.batch, shot.drafts
    if drafts:
        chosen = find_preset(drafts[0].task)
        presets = [_preset_button(batch, each, tongue, each is chosen) for each in Preset]
        rows += [presets[:2], presets[2:]]
        if any(job.id in shot.done_before for job in drafts) and not shot.again:
            rows.append([_button(batch, BatchAct.AGAIN, tongue("button-do-again"))])
        wanted = sum(not shot.is_skipped(job) for job in drafts)
        start = []
        if wanted:
            label = tongue("button-start-all", count=wanted)
            start.append(_button(batch, BatchAct.START, label, ButtonStyle.SUCCESS))
            if shot.sample is None or shot.sample.state.is_terminal:
                label = tongue("button-sample")
                start.append(_button(batch, BatchAct.SAMPLE, label, ButtonStyle.PRIMARY))
        rows.append(start)
    if any(shot.admin or job.held_for is Reason.TOO_LONG for job in shot.held):
        rows.append([_approve_button(shot, tongue)])
    return [row for row in rows if row]


def _page_row(batch: Batch, page: int, pages: int) -> list[InlineKeyboardButton]:
    before, after = (page - 1) % pages, (page + 1) % pages
    return [
        _button(batch, BatchAct.PAGE, "‹", value=str(before)),
        _button(batch, BatchAct.PAGE, f"{page + 1}/{pages}", value=str(page)),
        _button(batch, BatchAct.PAGE, "›", value=str(after)),
    ]


def _preset_button(
    batch: Batch, preset: Preset, tongue: Tongue, chosen: bool
) -> InlineKeyboardButton:
    label = tongue(f"preset-{preset}")
    text = tongue("button-chosen", label=label) if chosen else label
    return _button(batch, BatchAct.PRESET, text, value=preset)


def _approve_button(shot: BatchSnapshot, tongue: Tongue) -> InlineKeyboardButton:
    """A yes to what was shown, and to nothing that came later."""
    label, mark = tongue("button-approve-all"), mark_held(shot.jobs)
    return _button(shot.batch, BatchAct.APPROVE, label, ButtonStyle.SUCCESS, mark)


def _settings_button(batch: Batch, tongue: Tongue) -> InlineKeyboardButton:
    data = PagePress(job=BATCH_MARK + batch.id, page=OPTIONS).pack()
    return InlineKeyboardButton(text=tongue("button-settings"), callback_data=data)


def _button(
    batch: Batch, act: BatchAct, text: str, style: ButtonStyle | None = None, value: str = ""
) -> InlineKeyboardButton:
    data = BatchPress(act=act, batch=batch.id, value=value).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)

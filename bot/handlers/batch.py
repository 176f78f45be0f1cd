"""Several videos at once: ``/batch`` over a folder, albums, and the buttons of their one card."""

from __future__ import annotations

import asyncio
import logging

from aiogram import Bot, F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot.cards.batch import mark_held
from bot.cards.callbacks import BATCH_MARK, BatchAct, BatchPress, OptionPress, PagePress
from bot.cards.choices import Setting, choose_offered
from bot.cards.options import OPTIONS, PLAN
from bot.cards.presets import Preset, apply_preset
from bot.defaults import find_task, save_task
from bot.desk import Desk
from bot.feed.albums import count_waiting, find_burst
from bot.feed.intake import Upload, check_size, find_command, find_upload, make_fetch
from bot.handlers.errors import answer_press
from bot.handlers.submit import COMMANDS
from bot.handlers.taking import fit_draft, make_key, react
from bot.screen.notifier import Notifier
from controller.errors import TooLate
from controller.records import Batch, Job, Request
from controller.states import JobState
from remote_runner.protocol import Task

log = logging.getLogger(__name__)

#: An album is whole when for so long nothing more of it has come.
SILENCE_S = 1.5


def make_router() -> Router:
    router = Router(name="batch")
    router.message.register(take_folder, F.text, Command("batch"))
    router.message.register(take_part, is_part)
    router.callback_query.register(press, BatchPress.filter())
    of_batch = F.job.startswith(BATCH_MARK)
    router.callback_query.register(show_page, PagePress.filter(of_batch))
    router.callback_query.register(choose_option, OptionPress.filter(of_batch))
    return router


async def take_folder(message: Message, command: CommandObject, desk: Desk) -> None:
    """``/batch input/c1``: every video below a prefix of the storage."""
    prefix = (command.args or "").strip()
    if not prefix:
        await message.reply(desk.tongue("batch-help"))
        return
    batches = desk.controller.batches
    keys = await batches.videos(prefix, by=desk.actor)
    await react(message)
    request = _make_request(message, desk)
    batch = batches.open(request, name=prefix, expected=len(keys))
    desk.notifier.poke(f"batch:{batch.id}")

    task = find_task(desk.controller, desk.actor.user)

    async def accept_one(part: Request, key: str) -> Job:
        job = await desk.controller.accept_stored(part, path=key, task=task)
        return fit_draft(job, desk)

    batch = await batches.accept(request, name=prefix, items=keys, accept_one=accept_one)
    desk.notifier.poke(f"batch:{batch.id}")


async def is_part(message: Message, desk: Desk) -> bool | dict[str, object]:
    """Whether a file came with others: as an album, or several at once by the same person."""
    upload = find_upload(message)
    if upload is None:
        return False
    burst = find_burst(message, desk.controller)
    return {"upload": upload, "burst": burst} if burst else False


async def take_part(message: Message, upload: Upload, burst: str, bot: Bot, desk: Desk) -> None:
    """One file of an album. All updates of it are rows before this is called for the first.

    The last one waits for a moment of silence and closes the batch; a kill before that has the
    same update handled again, which finds the same batch and the same job.
    """
    batches, notifier = desk.controller.batches, desk.notifier
    batch = batches.open(_make_request(message, desk, key=burst))
    if batch.reply_to == message.message_id:
        await react(message)
    _expect(batch, message, desk)
    notifier.poke(f"batch:{batch.id}")
    part = Request(
        key=make_key(message), owner=batch.owner, chat=batch.chat, language=batch.language,
        reply_to=message.message_id, batch=batch.id,
    )  # fmt: skip

    usual = find_task(desk.controller, desk.actor.user)
    command = find_command(message.caption or "")
    told = apply_preset(COMMANDS[command], usual) if command else None
    task = told or _find_common_task(batch, desk) or usual

    async def accept_one(request: Request, name: str) -> Job:
        check_size(upload, desk.settings)
        fetch = make_fetch(bot, upload, desk.settings)
        job = await desk.controller.accept_upload(
            request, name=name, size=upload.size, fetch=fetch, task=task
        )
        return fit_draft(job, desk)

    await batches.take(batch, part, upload.name, accept_one)
    if told is not None and message.media_group_id is not None:
        # the caption of one is that of the album
        _plan_alike(batch, told, desk)
    notifier.poke(f"batch:{batch.id}")
    if not count_waiting(message, desk.controller):
        await asyncio.sleep(SILENCE_S)
    if not count_waiting(message, desk.controller):
        batches.finish(batch.id)
        notifier.poke(f"batch:{batch.id}")


def _find_common_task(batch: Batch, desk: Desk) -> Task | None:
    """What the files of an album that are in already are planned for."""
    if ":album:" not in batch.request_key:
        return None
    return next((job.task for job in desk.controller.batches.jobs(batch.id)), None)


def _plan_alike(batch: Batch, task: Task, desk: Desk) -> None:
    """For the files that were in before the one with the caption."""
    for job in desk.controller.batches.jobs(batch.id):
        if job.state is JobState.DRAFT:
            fit_draft(desk.controller.set_task(job.id, by=desk.actor, task=task), desk)


async def press(query: CallbackQuery, callback_data: BatchPress, desk: Desk) -> None:
    """A button of a batch's card. Pages are turned by everybody who may see it."""
    batch = desk.controller.batches.get(callback_data.batch, by=desk.actor)
    subject = f"batch:{batch.id}"
    try:
        toast = await _act(batch, callback_data, desk)
    except TooLate:
        toast = desk.tongue("toast-stale")
    desk.notifier.poke(subject)
    await answer_press(query, toast)


async def show_page(query: CallbackQuery, callback_data: PagePress, desk: Desk) -> None:
    """A page of the settings for all files, or back to the card."""
    batch, page = _find_batch(callback_data.job, desk), callback_data.page
    toast = None
    if page not in {PLAN, OPTIONS, *Setting} or not _list_drafts(batch, desk):
        toast = desk.tongue("toast-stale")
        desk.notifier.poke(f"batch:{batch.id}")
    else:
        desk.notifier.turn_page(f"batch:{batch.id}", "" if page == PLAN else page)
    await answer_press(query, toast)


async def choose_option(query: CallbackQuery, callback_data: OptionPress, desk: Desk) -> None:
    """A value of a setting for all files, or all settings as usual; then their list."""
    batch = _find_batch(callback_data.job, desk)
    drafts = _list_drafts(batch, desk)
    setting, code, task = callback_data.setting, callback_data.code, None
    if drafts:
        files = [job.facts for job in drafts]
        task = choose_offered(setting, code, drafts[0].task, files)
    if task is None:
        desk.notifier.poke(f"batch:{batch.id}")
        await answer_press(query, desk.tongue("toast-stale"))
        return
    _set_task(batch, task, desk)
    desk.notifier.turn_page(f"batch:{batch.id}", OPTIONS)
    await answer_press(query, desk.tongue("toast-reset") if setting is None else None)


async def _act(batch: Batch, press: BatchPress, desk: Desk) -> str | None:
    """Do it and return the short notice that is shown for it."""
    batches, notifier = desk.controller.batches, desk.notifier
    subject = f"batch:{batch.id}"
    match press.act:
        case BatchAct.PAGE if press.value.isdecimal():
            notifier.turn_page(subject, press.value)
        case BatchAct.AGAIN:
            notifier.do_again(subject)
        case BatchAct.ASK if not _is_unstarted(batch, desk):
            notifier.ask_to_confirm(subject)
        case BatchAct.NO:
            notifier.stop_confirming(subject)
        case BatchAct.ASK | BatchAct.YES:
            notifier.stop_confirming(subject)
            await batches.cancel(batch.id, by=desk.actor)
            return desk.tongue("toast-cancelling")
        case BatchAct.PRESET if press.value in set(Preset):
            _choose_preset(batch, Preset(press.value), desk)
        case _:
            return await _decide(batch, press, desk)
    return None


async def _decide(batch: Batch, press: BatchPress, desk: Desk) -> str:
    batches, tongue, by = desk.controller.batches, desk.tongue, desk.actor
    match press.act:
        case BatchAct.START:
            return await _start(batch, desk.notifier, desk)
        case BatchAct.SAMPLE:
            return _take_sample(batch, desk)
        case BatchAct.RETRY:
            count = batches.retry_failed(batch.id, by=by)
            return tongue("batch-toast-retry", files=tongue("files", count=count))
        case BatchAct.APPROVE:
            return _approve(batch, press.value, desk)
        case BatchAct.DECLINE:
            batches.decline(batch.id, by=by)
            return tongue("toast-cancelled")
    return tongue("toast-stale")


async def _start(batch: Batch, notifier: Notifier, desk: Desk) -> str:
    again = notifier.shown(f"batch:{batch.id}").again
    started = await desk.controller.batches.start(batch.id, by=desk.actor, again=again)
    return desk.tongue("batch-toast-started", files=desk.tongue("files", count=started))


def _approve(batch: Batch, shown: str, desk: Desk) -> str:
    """Of all that the card showed when it was pressed."""
    batches = desk.controller.batches
    held = [job for job in batches.jobs(batch.id) if job.state is JobState.HELD]
    if held and shown != mark_held(held):
        return desk.tongue("batch-toast-changed")
    batches.approve(batch.id, by=desk.actor)
    left = any(job.state is JobState.HELD for job in batches.jobs(batch.id))
    return desk.tongue("toast-held" if left else "toast-started")


def _take_sample(batch: Batch, desk: Desk) -> str:
    """Of the first file that would be started."""
    controller = desk.controller
    done = controller.batches.done_before(batch.id)
    drafts = _list_drafts(batch, desk)
    if not drafts:
        raise TooLate
    first = next((job for job in drafts if job.id not in done), drafts[0])
    # one that came to nothing can be asked for again
    newest = controller.newest_sample(first)
    key = f"sample:{first.id}:{first.version}:{newest.id if newest else ''}"
    controller.sample(first.id, by=desk.actor, key=key)
    return desk.tongue("batch-toast-sample")


def _choose_preset(batch: Batch, preset: Preset, desk: Desk) -> None:
    drafts = _list_drafts(batch, desk)
    if not drafts:
        raise TooLate
    _set_task(batch, apply_preset(preset, drafts[0].task), desk)


def _set_task(batch: Batch, task: Task, desk: Desk) -> None:
    """Of all drafts, each as far as it suits the file, and of their owner's next videos."""
    desk.controller.batches.set_task(batch.id, by=desk.actor, task=task)
    for job in _list_drafts(batch, desk):
        fit_draft(job, desk)
    if batch.owner == desk.actor.user:
        save_task(desk.controller, batch.owner, task)


def _find_batch(named: str, desk: Desk) -> Batch:
    """By the name that buttons of settings have for it."""
    return desk.controller.batches.get(named.removeprefix(BATCH_MARK), by=desk.actor)


def _list_drafts(batch: Batch, desk: Desk) -> list[Job]:
    jobs = desk.controller.batches.jobs(batch.id)
    return [job for job in jobs if job.state is JobState.DRAFT]


def _is_unstarted(batch: Batch, desk: Desk) -> bool:
    jobs = desk.controller.batches.jobs(batch.id)
    return not any(job.started_at for job in jobs)


def _expect(batch: Batch, message: Message, desk: Desk) -> None:
    """Those that came, this one, and those that are still to be handled."""
    known = len(desk.controller.batches.jobs(batch.id)) + len(batch.refused)
    waiting = count_waiting(message, desk.controller)
    desk.controller.batches.expect(batch.id, known + 1 + waiting)


def _make_request(message: Message, desk: Desk, key: str = "") -> Request:
    return Request(
        key=key or make_key(message),
        owner=desk.actor.user,
        chat=message.chat.id,
        language=desk.tongue.language,
        reply_to=message.message_id,
    )

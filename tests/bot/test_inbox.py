import asyncio
import functools
import json
from contextlib import asynccontextmanager, suppress

import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramConflictError,
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.types import Update

from bot.client import CountCalls
from bot.feed.inbox import Inbox, Limits, find_lane
from bot.feed.poller import Backoff, GetRawUpdates, Poller
from bot.handlers.errors import tell_crash
from bot.texts import Texts
from controller.errors import NotStored, StorageError
from tests.bot.stage import OTHER, STRANGER, USER, make_video
from tests.bot.virtual_time import run_virtual

QUICK = Limits(
    retry_s=0.01, drain_s=0.3, handlers=4, files=2, backoff=Backoff(first_s=0.01, longest_s=0.02)
)


def make_inbox(stage, limits=QUICK):
    give_up = functools.partial(
        tell_crash, stage.bot, controller=stage.house.controller, texts=Texts(),
        settings=stage.settings,
    )  # fmt: skip
    return Inbox(stage.bot, stage.dispatcher, stage.house.controller, give_up, limits)


@asynccontextmanager
async def running(inbox):
    task = asyncio.create_task(inbox.run())
    try:
        yield task
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def store(stage, *updates):
    stage.house.controller.inbox_add([(each["update_id"], json.dumps(each)) for each in updates])


def is_empty(stage):
    return lambda: not stage.house.controller.inbox_pending()


@pytest.fixture
def handled(stage, monkeypatch):
    """What reached the dispatcher, with a hook that a test may replace."""

    class Handled(list):
        async def hook(self, update):
            return

    handled = Handled()

    async def feed(bot, update, **_):
        handled.append(update.update_id)
        await handled.hook(update)

    monkeypatch.setattr(stage.dispatcher, "feed_update", feed)
    return handled


async def test_stored_updates_are_handled_and_done(stage):
    store(stage, stage.message(text="/start"), stage.message(STRANGER, text="/start"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert [each.chat_id for each in stage.session.sent] == [USER]


async def test_a_chat_is_in_order_and_chats_are_side_by_side(stage, handled):
    gate = asyncio.Event()

    async def hook(update):
        if update.update_id == 1:
            await gate.wait()

    handled.hook = hook
    store(
        stage, *(stage.message(USER, text="a") for _ in range(3)), stage.message(OTHER, text="b")
    )
    async with running(make_inbox(stage)):
        await stage.until(lambda: handled == [1, 4])
        gate.set()
        await stage.until(is_empty(stage))
    assert handled == [1, 4, 2, 3]


async def test_a_file_does_not_hold_up_buttons_and_files_stay_in_order(stage, handled):
    gate = asyncio.Event()

    async def hook(update):
        if update.update_id == 1:
            await gate.wait()

    handled.hook = hook
    store(
        stage, stage.message(video=make_video()), stage.message(video=make_video()),
        stage.press("x"), stage.message(text="/status"),
    )  # fmt: skip
    async with running(make_inbox(stage)):
        await stage.until(lambda: handled == [1, 3, 4])
        gate.set()
        await stage.until(lambda: handled == [1, 3, 4, 2])


async def test_not_more_than_so_many_at_a_time(stage, handled):
    now, peak = 0, 0

    async def hook(update):
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0.01)
        now -= 1

    handled.hook = hook
    store(stage, *(stage.message(user, text="a") for user in range(100, 130)))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert peak == QUICK.handlers


async def test_more_updates_than_fit_in_memory_are_all_handled(stage, handled):
    store(stage, *(stage.message(user, text="a") for user in range(100, 140)))
    async with running(make_inbox(stage, Limits(known=5))):
        await stage.until(is_empty(stage))
    assert len(handled) == 40


async def test_one_that_cannot_be_read_does_not_hide_those_that_did_not_fit_in_memory(
    stage, handled
):
    first, *others = (stage.message(user, text="a") for user in range(100, 111))
    store(stage, {"update_id": first["update_id"], "message": {}}, *others)
    async with running(make_inbox(stage, Limits(known=5))):
        await stage.until(is_empty(stage))
    assert len(handled) == 10


async def test_a_poison_update_is_given_up_after_three_tries_and_told_once(stage, handled, caplog):
    async def hook(update):
        if update.update_id == 1:
            raise RuntimeError("secret detail")

    handled.hook = hook
    store(stage, stage.message(text="a"), stage.message(text="b"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert handled == [1, 1, 1, 2]
    (told,) = stage.session.sent
    assert told.text.startswith("Что-то пошло не так")
    assert "secret detail" not in told.text
    assert "Traceback" in caplog.text


async def test_a_button_that_crashes_is_answered(stage, handled):
    async def hook(update):
        raise RuntimeError

    handled.hook = hook
    store(stage, stage.press("x"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    (answer,) = stage.session.named("answerCallbackQuery")
    assert answer.show_alert


async def test_a_crash_during_intake_is_told_on_the_card(stage, monkeypatch):
    monkeypatch.setattr(stage.house.controller, "accept_upload", lambda *a, **k: 1 / 0)
    store(stage, stage.message(video=make_video()))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    (shown,) = stage.session.screen.values()
    assert shown.text.startswith("Что-то пошло не так")


@pytest.mark.parametrize(("deaths", "is_handled"), [(9, True), (10, False)])
async def test_only_an_update_that_met_ten_deaths_of_the_process_is_given_up(
    stage, handled, deaths, is_handled
):
    raw = stage.message(text="a")
    store(stage, raw)
    for _ in range(deaths):
        stage.house.controller.inbox_try(raw["update_id"])
    stage.house.restart()
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert bool(handled) == is_handled
    assert bool(stage.session.sent) != is_handled


async def test_a_death_counts_only_for_what_was_being_handled(stage, handled):
    """An update that waits for its turn while kills come is nobody's suspect."""
    began, never = asyncio.Event(), asyncio.Event()

    async def hook(update):
        began.set()
        await never.wait()

    handled.hook = hook
    store(stage, *(stage.message(user, text="a") for user in range(100, 103)))
    async with running(make_inbox(stage, Limits(handlers=1, drain_s=0))):
        await began.wait()
        tries = [each.tries for each in stage.house.controller.inbox_pending()]
    assert sorted(tries) == [0, 0, 1]


async def test_a_crash_of_a_strangers_update_is_told_to_nobody(stage, handled):
    async def hook(update):
        raise RuntimeError

    handled.hook = hook
    store(stage, stage.message(STRANGER, text="a"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert stage.session.calls == []


@pytest.mark.parametrize(
    "fault",
    [
        TelegramNetworkError(method=None, message="reset"),
        TelegramRetryAfter(method=None, message="Too Many Requests", retry_after=0.01),
        StorageError("input/uploads/a.mp4: SlowDown"),
    ],
)
async def test_outages_do_not_count_as_crashes(stage, handled, fault):
    async def hook(update):
        if len(handled) < 8:
            raise fault

    handled.hook = hook
    store(stage, stage.message(text="a"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert len(handled) == 8
    assert stage.session.sent == []


def fail_for_ever(stage, handled, error=None):
    """A try takes ten virtual minutes and comes to nothing, whatever the others do."""
    error = error or TelegramNetworkError(method=None, message="reset")

    async def hook(update):
        if update.message.text == "a":
            await asyncio.sleep(600)
            raise error

    handled.hook = hook
    store(stage, stage.message(text="a"), stage.message(text="b"))


async def _wait_for_the_lane(stage, handled, *, answers):
    """Virtual seconds until the second update of the chat is handled."""
    loop, vitals = asyncio.get_running_loop(), stage.house.controller.vitals
    limits = Limits(backoff=Backoff(first_s=10, longest_s=10))
    began = loop.time()
    vitals.beat("telegram")  # as at every start
    async with running(make_inbox(stage, limits)):
        while stage.house.controller.inbox_pending():
            now_s = loop.time() - began
            if answers(now_s):
                vitals.beat("telegram")
            if now_s > 10 * 3600:
                break
            await asyncio.sleep(30)
            stage.house.clock.advance(30)
        return loop.time() - began


def test_an_update_that_fails_while_telegram_answers_holds_its_lane_for_an_hour(stage, handled):
    fail_for_ever(stage, handled)
    took_s = run_virtual(lambda _: _wait_for_the_lane(stage, handled, answers=lambda _: True))
    # and for the tries that were being made as the hour was over
    assert 3600 <= took_s <= 3600 + 3 * 600 + 120
    assert handled[-1] == 2
    assert [each.chat_id for each in stage.session.sent] == [USER]


def test_while_telegram_answers_nobody_an_update_waits_however_long_that_takes(stage, handled):
    fail_for_ever(stage, handled)
    away_s = 5 * 3600
    took_s = run_virtual(
        lambda _: _wait_for_the_lane(stage, handled, answers=lambda now_s: now_s > away_s)
    )
    assert away_s + 3000 <= took_s <= away_s + 3600 + 3 * 600 + 120


def test_what_storage_fails_by_uses_up_patience_though_telegram_is_away(stage, handled):
    fail_for_ever(stage, handled, StorageError("input/uploads/a.mp4: SlowDown"))
    took_s = run_virtual(lambda _: _wait_for_the_lane(stage, handled, answers=lambda _: False))
    assert 3600 <= took_s <= 3600 + 3 * 600 + 120
    assert handled[-1] == 2


def test_a_refusal_is_an_answer_as_well(stage, handled):
    """Another bot polls with the same token, for instance."""
    fail_for_ever(stage, handled)
    count = CountCalls(stage.house.controller.vitals)
    refused = TelegramConflictError(method=GetRawUpdates(), message="terminated by other request")

    async def refuse(bot, method):
        raise refused

    async def wait():
        polling = asyncio.create_task(_poll(count, refuse))
        took_s = await _wait_for_the_lane(stage, handled, answers=lambda _: False)
        polling.cancel()
        return took_s

    took_s = run_virtual(lambda _: wait())
    assert 3600 <= took_s <= 3600 + 3 * 600 + 120


async def _poll(count, ask):
    while True:
        with suppress(TelegramConflictError):
            await count(ask, None, GetRawUpdates())
        await asyncio.sleep(30)


async def test_what_is_not_in_storage_is_no_outage_of_storage(stage, handled):
    async def hook(update):
        raise NotStored("output/gone.mp4")

    handled.hook = hook
    store(stage, stage.message(text="a"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert len(handled) == 3


async def test_an_unreadable_update_is_put_aside(stage, caplog):
    number = stage.message()["update_id"]
    store(stage, {"update_id": number, "message": {"text": "private words"}})
    store(stage, stage.message(text="/start"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert [each.chat_id for each in stage.session.sent] == [USER]
    assert "update 1 cannot be read: message.message_id" in caplog.text
    assert "private words" not in caplog.text


async def test_the_end_waits_for_handlers_and_keeps_the_rest(stage, handled):
    finished = []

    async def hook(update):
        await asyncio.sleep(0.1 if update.message.chat.id == USER else 60)
        finished.append(update.update_id)

    handled.hook = hook
    store(stage, stage.message(USER, text="a"), stage.message(USER, text="b"))
    store(stage, stage.message(OTHER, text="c"))
    async with running(make_inbox(stage)):
        await stage.until(lambda: len(handled) == 2)
    assert finished == [1]
    left = stage.house.controller.inbox_pending()
    assert [(each.id, each.tries) for each in left] == [(2, 0), (3, 0)]


async def test_a_stop_in_an_outage_uses_up_no_try(stage, handled):
    async def hook(update):
        raise TelegramNetworkError(method=None, message="reset")

    handled.hook = hook
    store(stage, stage.message(text="a"))
    limits = Limits(backoff=Backoff(first_s=60))
    for number in (1, 2, 3, 4):
        async with running(make_inbox(stage, limits)):
            await stage.until(lambda number=number: len(handled) == number)
            await asyncio.sleep(0.02)
            # a kill at this moment uses up none either
            assert [each.tries for each in stage.house.controller.inbox_pending()] == [0]
    assert [each.tries for each in stage.house.controller.inbox_pending()] == [0]
    assert stage.session.sent == []


async def test_a_reply_whose_answer_cannot_be_read_is_sent_once(stage):
    answer = {"ok": True, "result": {"message_id": 77, "novel": 1}}
    stage.session.faults["sendMessage"].append(
        ClientDecodeError("Failed to deserialize", ValueError(), answer)
    )
    store(stage, stage.message(text="/start"))
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert len(stage.session.sent) == 1


async def test_half_a_surrogate_pair_is_stored_and_put_aside(stage):
    stage.session.updates.append([stage.message(text="\ud83d"), stage.message(text="/start")])
    inbox = make_inbox(stage)
    poller = Poller(stage.bot, stage.house.controller, inbox.wake)
    async with running(inbox), running(poller):
        await stage.until(lambda: stage.session.sent)
        await stage.until(is_empty(stage))
    assert stage.house.controller.inbox_offset() == 3


async def test_a_broken_database_ends_the_inbox_loudly(stage, monkeypatch):
    store(stage, stage.message(text="a"))
    monkeypatch.setattr(stage.house.controller, "inbox_try", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(make_inbox(stage).run(), 2)


def test_lanes(stage):
    def lane(raw):
        return find_lane(Update.model_validate(raw))

    assert lane(stage.message(text="a")) == lane(stage.press("x")) == (USER, "")
    assert lane(stage.message(video=make_video())) == (USER, "files")
    assert lane(stage.message(text="input/c1/a.mp4")) == (USER, "files")
    assert lane(stage.message(text="/status")) == (USER, "")
    assert lane({"update_id": 1}) == (0, "")

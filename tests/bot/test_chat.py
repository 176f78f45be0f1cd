"""The room of a chat: who waits, who is dropped, what a 429 stops; in virtual time."""

import asyncio
import dataclasses

import pytest
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import (
    AnswerCallbackQuery,
    EditMessageText,
    SendChatAction,
    SendMediaGroup,
    SendMessage,
    SetMessageReaction,
)
from aiogram.types import InputMediaPhoto

from bot.client import make_bot
from bot.screen.pace import Pace, Window
from bot.screen.traffic import Postponed, Traffic, Urgency, count_messages, find_chat, urgent
from tests.bot.flood import FloodSession
from tests.bot.stage import FAST, USER, Stage
from tests.bot.test_notifier import finish, running
from tests.bot.virtual_time import run_virtual

GROUP, MAN = -5, 7


class Wire:
    """A client whose calls pass the accounting, to a Telegram that limits."""

    def __init__(self, loop, bot_settings, pace=None) -> None:
        self.loop = loop
        self.session = FloodSession(loop)
        self.traffic = Traffic(pace or Pace())
        self.bot = make_bot(bot_settings, self.session)

    async def send(self, chat, text="x"):
        await self.bot.send_message(chat, text)
        return self.loop.time()


def play(bot_settings, act, **values):
    async def run(loop):
        wire = Wire(loop, bot_settings, **values)
        with wire.traffic.watching(wire.bot):
            await act(wire)
        return wire

    return run_virtual(run)


def test_a_429_freezes_its_chat_for_everybody_to_the_second(bot_settings):
    async def act(wire):
        wire.session.planned[MAN] = [(0, 17)]
        answer = asyncio.create_task(wire.send(MAN))
        await asyncio.sleep(0.5)
        other = await wire.send(8)
        late = asyncio.create_task(wire.send(MAN, "later"))
        assert other < 1
        assert await answer >= 17
        assert await late >= 17

    wire = play(bot_settings, act)
    assert wire.session.breaches == []
    told = [text for _, chat, text in wire.session.told if chat == MAN]
    assert sorted(told) == ["later", "x"]


def test_progress_is_dropped_where_an_answer_waits(bot_settings):
    async def act(wire):
        wire.traffic.freeze(MAN, 10)
        with urgent(Urgency.PROGRESS), pytest.raises(Postponed):
            await wire.send(MAN)
        assert await wire.send(MAN, "answer") >= 10

    wire = play(bot_settings, act)
    assert [text for *_, text in wire.session.told] == ["answer"]
    assert wire.traffic.counters.postponed == 1


def test_a_card_is_drawn_anew_after_a_429_and_not_sent_as_it_was(bot_settings):
    async def act(wire):
        wire.session.planned[MAN] = [(0, 5)]
        with urgent(Urgency.END), pytest.raises(TelegramRetryAfter):
            await wire.send(MAN)
        assert wire.traffic.wait_s(MAN, Urgency.END) > 4

    assert play(bot_settings, act).traffic.counters.too_many == 1


def test_an_answer_does_not_wait_for_longer_than_it_may(bot_settings):
    async def act(wire):
        wire.traffic.freeze(MAN, 300)
        with pytest.raises(TelegramRetryAfter) as caught:
            await wire.send(MAN)
        assert 299 <= caught.value.retry_after <= 300
        assert wire.loop.time() < 1

    play(bot_settings, act)


def test_a_group_gets_twenty_in_any_minute_whoever_sends(bot_settings):
    async def act(wire):
        await asyncio.gather(*(wire.send(GROUP, str(number)) for number in range(35)))

    wire = play(bot_settings, act)
    calls = wire.session.calls[GROUP]
    assert len(calls) == 35
    assert max(sum(at <= other < at + 60 for other in calls) for at in calls) == 20
    assert wire.session.breaches == []


def test_the_less_important_leave_room(bot_settings):
    async def act(wire):
        for _ in range(10):
            await wire.send(GROUP)
        room = {each: wire.traffic.wait_s(GROUP, each) > 0 for each in Urgency}
        assert room == {
            Urgency.PROGRESS: True, Urgency.CHANGE: False, Urgency.END: False,
            Urgency.ANSWER: False,
        }  # fmt: skip

    play(bot_settings, act)


def test_over_all_chats_there_are_twenty_a_second(bot_settings):
    async def act(wire):
        await asyncio.gather(*(wire.send(chat) for chat in range(1, 101)))

    wire = play(bot_settings, act)
    times = sorted(at for calls in wire.session.calls.values() for at in calls)
    assert max(sum(at <= other < at + 1 for other in times) for at in times) <= 30
    assert 4 <= times[-1] <= 6
    assert wire.session.breaches == []


def test_calls_are_counted_as_the_platform_counts_them():
    album = SendMediaGroup(
        chat_id=1, media=[InputMediaPhoto(media="a"), InputMediaPhoto(media="b")]
    )
    counts = [
        (SendMessage(chat_id=1, text="x"), 1),
        (EditMessageText(chat_id="1", text="x"), 1),
        (album, 2),
        (SendChatAction(chat_id=1, action="typing"), 0),
        (SetMessageReaction(chat_id=1, message_id=1), 0),
    ]
    for method, count in counts:
        assert (count_messages(method), find_chat(method)) == (count, 1)
    assert find_chat(AnswerCallbackQuery(callback_query_id="1")) is None


async def test_an_end_is_told_where_the_card_has_no_room(house, bot_settings):
    pace = dataclasses.replace(FAST, private=Window(calls=10, seconds=600.0))
    stage = Stage(house, bot_settings, pace=pace)
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        while stage.notifier._traffic.wait_s(USER, Urgency.END) == 0:
            await stage.bot.send_message(USER, "talk")
        await finish(stage, job)
        await stage.until(lambda: stage.session.named("sendVideo"))
        assert "✅" not in stage.card_of(job).text

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.types import BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup

from bot.client import make_bot
from bot.feed.poller import ALLOWED_UPDATES, GetRawUpdates
from bot.settings import BotSettings
from tests.simulation.faults import Fault
from tests.simulation.outside.telegram import SimSession

ANN = 7
KEYBOARD = InlineKeyboardMarkup(
    inline_keyboard=[[InlineKeyboardButton(text="Go", callback_data="go")]]
)


@asynccontextmanager
async def bot_of(outside):
    telegram = outside.telegram
    telegram.enter(ANN)
    telegram.send_text(ANN, ANN, "/start")
    settings = BotSettings(token=telegram.token, users=frozenset({ANN}))
    bot = make_bot(settings, SimSession(outside.process, telegram))
    await poll(bot)
    yield bot


async def poll(bot, offset=0, wait_s=0):
    asking = GetRawUpdates(offset=offset, timeout=wait_s, allowed_updates=ALLOWED_UPDATES)
    return await bot(asking)


def test_updates_come_until_they_are_confirmed(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            telegram = outside.telegram
            (first,) = await poll(bot)
            telegram.send_video(ANN, ANN, b"film", name="a.mp4", caption="/both")
            updates = await poll(bot)
            assert [each["update_id"] for each in updates] == telegram.unconfirmed
            assert updates[1]["message"]["video"]["file_name"] == "a.mp4"
            assert len(await poll(bot, first["update_id"] + 1)) == 1
            file = await bot.get_file(updates[1]["message"]["video"]["file_id"])
            assert (await bot.download_file(file.file_path)).read() == b"film"

    simulated(play)


def test_a_long_poll_ends_with_news_or_in_time(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            (first,) = await poll(bot)
            offset, began = first["update_id"] + 1, outside.now()
            assert await poll(bot, offset, wait_s=25) == []
            assert 25 <= outside.now() - began < 27
            polling = asyncio.create_task(poll(bot, offset, wait_s=25))
            await asyncio.sleep(5)
            outside.telegram.send_text(ANN, ANN, "hello")
            assert len(await polling) == 1

    simulated(play)


def test_updates_may_come_again_and_in_another_order_and_none_is_lost(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            for number in range(5):
                outside.telegram.send_text(ANN, ANN, f"{number}")
            outside.force(Fault.UPDATE_TWICE, Fault.UPDATES_REORDERED)
            numbers = [each["update_id"] for each in await poll(bot)]
            assert len(numbers) == 7
            assert set(numbers) == set(outside.telegram.unconfirmed)
            assert numbers != sorted(numbers)

    simulated(play)


def test_messages_appear_change_and_are_pressed(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            telegram = outside.telegram
            sent = await bot.send_message(ANN, "Plan", reply_markup=KEYBOARD)
            await bot.edit_message_text(
                "Done", chat_id=ANN, message_id=sent.message_id, reply_markup=KEYBOARD
            )
            shown = telegram.messages(ANN)[-1]
            assert (shown.text, telegram.buttons(shown)) == ("Done", ["go"])
            (last,) = (await poll(bot))[-1:]
            telegram.press(ANN, ANN, shown.id, "go")
            (press,) = await poll(bot, last["update_id"] + 1)
            assert press["callback_query"]["data"] == "go"
            assert await bot.answer_callback_query(press["callback_query"]["id"])
            await bot.send_document(ANN, BufferedInputFile(b"x", "result.mp4"), caption="There")
            assert [(each.text, each.media) for each in telegram.sends] == [
                ("Plan", ""),
                ("There", "document result.mp4"),
            ]

    simulated(play)


def test_what_telegram_refuses_is_refused(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            sent = await bot.send_message(ANN, "Plan")
            with pytest.raises(TelegramBadRequest, match="not modified"):
                await bot.edit_message_text("Plan", chat_id=ANN, message_id=sent.message_id)
            with pytest.raises(TelegramBadRequest, match="chat not found"):
                await bot.send_message(8, "Plan")
            with pytest.raises(TelegramBadRequest, match="too long"):
                await bot.send_message(ANN, "x" * 4097)
            outside.telegram.block(ANN)
            with pytest.raises(TelegramForbiddenError):
                await bot.send_message(ANN, "Plan")

    simulated(play)


def test_who_writes_too_often_has_to_wait(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            with pytest.raises(TelegramRetryAfter):
                await asyncio.gather(*(bot.send_message(ANN, f"{n}") for n in range(40)))
            await asyncio.sleep(30)
            assert await bot.send_message(ANN, "late")

    simulated(play)


@pytest.mark.parametrize(
    ("fault", "error", "appears"),
    [
        (Fault.TELEGRAM_REQUEST_LOST, TelegramNetworkError, 0),
        (Fault.TELEGRAM_ANSWER_LOST, TelegramNetworkError, 1),
        (Fault.TELEGRAM_IN_FLIGHT, TelegramNetworkError, 1),
        (Fault.TELEGRAM_LIMITED, TelegramRetryAfter, 0),
    ],
)
def test_a_message_may_appear_that_the_bot_does_not_know_of(simulated, fault, error, appears):
    async def play(outside):
        async with bot_of(outside) as bot:
            outside.force(fault)
            with pytest.raises(error):
                await bot.send_message(ANN, "Plan")
            await asyncio.sleep(200)
            assert len(outside.telegram.sends) == appears
            await bot.send_message(ANN, "Plan")
            assert outside.telegram.repeated(ANN) == appears

    simulated(play)


def test_a_server_error_is_one_also_as_a_page(simulated):
    async def play(outside):
        async with bot_of(outside) as bot:
            seen = set()
            for _ in range(20):
                outside.force(Fault.TELEGRAM_SERVER_ERROR)
                try:
                    await bot.send_message(ANN, "Plan")
                except Exception as error:
                    seen.add(type(error))
            assert ClientDecodeError in seen
            assert len(seen) == 2
            assert not outside.telegram.sends

    simulated(play)

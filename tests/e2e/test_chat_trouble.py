"""What Telegram and people do to a bot: limits, deleted cards, a block."""

import asyncio

import pytest

from bot.sandbox import FaultKind
from controller.states import JobState
from tests.e2e.chatting import (
    ANN,
    BORIS,
    make_tiny,
    of_bot,
    see,
    see_plan,
    see_result,
    see_text,
    talking,
    tap,
)

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


async def test_a_limit_freezes_one_chat_to_the_second_and_no_other(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        ann, boris = await talk.enter(ANN, "Ann"), await talk.enter(BORIS, "Boris")
        sent = {chat: await chat.send_video(clip, as_document=True) for chat in (boris, ann)}
        cards = {chat: await see_plan(chat, sent[chat]) for chat in sent}
        await talk.driver.inject(
            FaultKind.RETRY_AFTER, "editMessageText", seconds=5, chat_id=BORIS
        )
        await tap(boris, "×4", cards[boris])
        await asyncio.sleep(0.5)
        await tap(ann, "×4", cards[ann])
        await see(ann, "✓ ×4", cards[ann])
        await see(boris, "✓ ×4", cards[boris])
        calls = await talk.driver.calls()
        (refused,) = [each for each in calls if each["code"] == 429]
        later = [each["at"] for each in calls if each["at"] > refused["at"]
                 and each["chat_id"] == BORIS]  # fmt: skip
        assert later[0] >= refused["at"] + 5
        others = [each for each in calls if each["chat_id"] == ANN
                  and refused["at"] < each["at"] < refused["at"] + 5]  # fmt: skip
        assert others


async def test_a_deleted_card_comes_once_more_and_the_result_all_the_same(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4", seconds=40)
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, as_document=True)
        card = await see_plan(chat, sent)
        await tap(chat, "Start", card)
        await see_text(chat, "▶ upscaling", card)
        await chat.delete_message(card)
        again = await see_text(chat, "▶ upscaling")
        assert again.id > card.id
        await chat.delete_message(again)
        result = await see_result(chat, sent)
        assert result.id > again.id
        # what is deleted twice stays so; only how it ended is said
        left = [m for m in await of_bot(chat) if m.reply_to_id == sent.id and m.id != result.id]
        assert all("✅ Done: film.mp4" in m.text for m in left)


async def test_somebody_who_blocks_the_bot_gets_what_was_missed(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(BORIS, "Boris")
        sent = await chat.send_video(clip, as_document=True)
        await tap(chat, "Start", await see_plan(chat, sent))
        await chat.block_bot()
        await talk.until(lambda jobs: jobs[0].state is JobState.DONE)
        await asyncio.sleep(2)
        assert not [m for m in await of_bot(chat) if m.media]
        await chat.unblock_bot()
        await chat.send_text("/status")
        await see_result(chat, sent)
        await asyncio.sleep(1)
        found = [m for m in await of_bot(chat) if m.media == "video" and m.reply_to_id == sent.id]
        assert len(found) == 1

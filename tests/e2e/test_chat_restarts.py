"""The bot is killed at every stage of a conversation, and goes on with the same card."""

import asyncio

import pytest

from bot.sandbox import FaultKind
from bot.sandbox.conversation import Item
from controller.states import JobState
from remote_runner.protocol import Phase
from tests.e2e.chatting import (
    ANN,
    WORK_S,
    make_tiny,
    of_bot,
    see,
    see_plan,
    see_result,
    see_text,
    talking,
    tap,
)

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


async def test_one_card_goes_on_through_a_kill_at_every_stage(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4", seconds=20)
    async with talking(tmp_path / "home", NOXFVR_MAX_MACHINES="1") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, as_document=True)
        card = await see_plan(chat, sent)
        await talk.restart_bot()  # a draft

        await tap(chat, "Settings", card)
        await see_text(chat, "What should be different?", card)
        await talk.restart_bot()  # with its settings open
        await tap(chat, "Quality", card)
        await tap(chat, "high", card)
        await see_text(chat, "What should be different?", card)
        await tap(chat, "Back", card)

        await tap(chat, "Sample first", card)
        await chat.wait_for(lambda m: m.id == card.id and "🧪" in m.text, WORK_S)
        await talk.restart_bot()  # while a sample is made
        sample = await chat.wait_for(lambda m: m.media and m.button("Change"), WORK_S)

        await chat.send_text("/queue")
        await tap(chat, "Pause")
        await tap(chat, "Run all", sample)
        await see_text(chat, "In the queue: number 1", card)
        await talk.restart_bot()  # queued
        await tap(chat, "Go on")

        await see_text(chat, "▶ upscaling", card)
        await talk.restart_bot()  # running
        await talk.driver.inject(FaultKind.DELAY, "sendVideo", seconds=4)
        await talk.until(lambda jobs: jobs[0].state is JobState.DONE)
        await asyncio.sleep(1)
        await talk.restart_bot()  # handing out
        result = await see_result(chat, sent)
        await see_text(chat, "✅ Done: film.mp4", card)
        await asyncio.sleep(3)

        found = await of_bot(chat)
        samples = [m for m in found if (m.media and m.button("Change")) or "🧪" in m.text]
        results = [m for m in found if m.button("Again")]
        assert [m.id for m in found if not m.media and m.reply_to_id == sent.id] in ([], [card.id])
        assert len(samples) == 1
        assert 1 <= len(results) <= 2  # the answer to the first one was lost with the bot
        assert result.id in [m.id for m in results]
        (job,) = await talk.jobs()
        assert (job.state, job.attempts, job.task.crf) == (JobState.DONE, 1, 14)


async def test_a_batch_goes_on_through_kills_while_it_comes_in_and_while_it_runs(tmp_path):
    clips = [make_tiny(tmp_path / f"{n}.mp4", seconds=10, seed=n) for n in range(3)]
    async with talking(tmp_path / "home", NOXFVR_MAX_MACHINES="1") as talk:
        chat = await talk.enter(ANN, "Ann")
        await talk.driver.inject(FaultKind.DELAY, "getFile", seconds=2, times=2)
        sent = await chat.send_album([Item(path=each) for each in clips])
        await chat.wait_for(lambda m: "🎞" in m.text, WORK_S)
        await asyncio.sleep(0.5)  # its number is written down when the answer is there
        await talk.restart_bot()  # while files come in
        card = await see(chat, "Start all (3)")
        await talk.restart_bot()  # a draft
        await tap(chat, "Start all (3)", card)
        await talk.wait_for_job(
            lambda _, attempt: (
                attempt and attempt.status and attempt.status.phase is Phase.PROCESSING
            )
        )
        await talk.restart_bot()  # running
        end = await see_text(chat, "🏁 Finished")
        assert "✅ 3 done" in end.text
        for each in sent:
            await see_result(chat, each)
        await asyncio.sleep(1)
        found = await of_bot(chat)
        assert [m.id for m in found if not m.media] == [card.id, end.id]
        assert len([m for m in found if m.media == "video" and m.button("Again")]) == 3
        jobs = await talk.jobs()
        assert [(job.state, job.attempts) for job in jobs] == [(JobState.DONE, 1)] * 3

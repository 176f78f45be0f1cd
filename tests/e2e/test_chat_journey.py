"""From a video to its result by way of a sample, and what is shown meanwhile."""

import asyncio
import os
import signal

import pytest

from controller.states import JobState
from remote_runner.protocol import Phase
from tests.e2e.chatting import (
    ANN,
    TEXTS,
    WORK_S,
    list_ringing,
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


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_a_video_is_settled_sampled_made_and_made_again(tmp_path, language):
    say = TEXTS[language]
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann", language)
        sent = await chat.send_video(clip, as_document=True)
        card = await see_plan_in(chat, sent, say)
        # the settings page edits the card, and the choice is remembered
        await tap(chat, say("button-settings"), card)
        await tap(chat, say("setting-quality"), card)
        await tap(chat, say("choice-quality-high"), card)
        await see_text(chat, say("options-choose"), card)
        await tap(chat, say("button-back"), card)
        card = await see(chat, say("button-sample"), card)

        # a sample, and then the whole on the same machine
        await tap(chat, say("button-sample"), card)
        sample = await see(chat, say("button-run-all"))
        sample = await chat.wait_for(lambda m: m.media and m.button(say("button-change")), WORK_S)
        speed = say("sample-speed-on", fps="", device="").split(":")[0]
        assert speed in sample.text
        assert say("sample-whole", quote="") in sample.text
        assert await tap(chat, say("button-run-all"), sample) == say("toast-started")
        result = await see_result(chat, sent)
        assert talk.count_machines() == 1
        body = (await chat.download(result, tmp_path / "got.mp4")).read_bytes()

        # its link gives the same bytes until a new one is asked for
        url = result.button(say("button-open")).url
        assert url.startswith(f"{talk.web}/d/")
        assert await talk.fetch(url) == (200, body)
        assert await tap(chat, say("button-renew"), result) == say("toast-renewed")
        renewed = await chat.wait_until(
            lambda ms: next(
                (m for m in ms if m.id == result.id and m.button(say("button-open")).url != url),
                None,
            )
        )
        assert (await talk.fetch(url))[0] in (404, 410)
        assert await talk.fetch(renewed.button(say("button-open")).url) == (200, body)

        # again, with what was chosen before as the beginning
        assert await tap(chat, say("button-again"), result) == say("toast-again")
        again = await chat.wait_for(
            lambda m: m.id > result.id and m.button(say("button-start")), WORK_S
        )
        await tap(chat, "×4", again)
        again = await see(chat, "✓ ×4", again)
        await tap(chat, say("button-start"), again)
        last = await chat.wait_for(lambda m: m.media == "video" and m.id > again.id, WORK_S)
        newest, oldest = await talk.until(
            lambda jobs: all(job.state is JobState.DONE for job in jobs) and jobs
        )
        assert await list_ringing(chat) == [sample.id, result.id, last.id]
        assert oldest.task.crf == newest.task.crf is not None
        assert (oldest.task.scale, newest.task.scale) == (2, 4)
        assert talk.count_machines() == 1


async def see_plan_in(chat, sent, say):
    return await chat.wait_for(
        lambda m: m.reply_to_id == sent.id and m.button(say("button-start")), WORK_S
    )


async def test_a_running_card_shows_how_far_it_is_and_tells_of_a_machine_that_died(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4", seconds=60)
    async with talking(tmp_path / "home", NOXFVR_SEGMENT_S="2") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, as_document=True)
        card = await see_plan(chat, sent)
        await tap(chat, "Start", card)
        seen = await see_text(chat, "▶ upscaling", card)
        assert "✓ fetching the file" in seen.text
        assert "○ checking" in seen.text
        await tap(chat, "Details", card)
        await see(chat, "Hide details", card)
        # the beginning can be looked at while the rest is made
        shown = await chat.wait_for(
            lambda m: m.id == card.id and m.media == "photo" and m.button("Watch"), WORK_S
        )
        assert any(e["type"] == "date_time" for e in shown.raw["caption_entities"])
        status, _ = await talk.fetch(shown.button("Watch").url)
        assert status == 200

        for process in talk.runners():
            os.kill(process.pid, signal.SIGKILL)
        told = await see_text(chat, "Now attempt 2 of 3", card)
        assert "Attempt 1: " in told.text
        result = await see_result(chat, sent)
        assert "Went on behind" in result.text
        assert [m.id for m in await of_bot(chat) if m.reply_to_id == sent.id] == [
            card.id, result.id,
        ]  # fmt: skip
        (job,) = await talk.jobs()
        assert (job.state, job.attempts) == (JobState.DONE, 2)


async def test_a_running_job_is_cancelled_and_tried_again(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4", seconds=45)
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, as_document=True)
        card = await see_plan(chat, sent)
        await tap(chat, "Start", card)
        await talk.wait_for_job(
            lambda _, attempt: (
                attempt and attempt.status and attempt.status.phase is Phase.PROCESSING
            )
        )
        await tap(chat, "Cancel", card)
        await tap(chat, "No, go on", card)
        await tap(chat, "Cancel", card)
        assert await tap(chat, "Yes, cancel", card) in ("Cancelling…", "Cancelled")
        await see_text(chat, "🚫 Cancelled: film.mp4", card)
        assert await tap(chat, "Try again", card) == "Queued again"
        await see_result(chat, sent)
        new, old = await talk.jobs()
        assert (old.state, new.state) == (JobState.CANCELLED, JobState.DONE)
        await asyncio.sleep(0.5)
        assert len([m for m in await of_bot(chat) if m.button("Try again")]) == 0

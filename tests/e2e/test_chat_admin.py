"""What admins have: lists, machines, money, people, queue, logs, health; and what is served."""

import json

import pytest

from bot.sandbox.conversation import WaitError
from controller.states import JobState
from tests.e2e.chatting import (
    ANN,
    BORIS,
    STRANGER,
    make_tiny,
    see,
    see_plan,
    see_result,
    see_text,
    talking,
    tap,
)

pytestmark = pytest.mark.timeout(300)


async def ask(chat, text, wanted, timeout_s=60):
    """Send a command; the answer that says or offers this."""
    sent = await chat.send_text(text)
    return await chat.wait_for(
        lambda m: m.id > sent.id and (wanted in m.text or m.button(wanted)), timeout_s
    )


@pytest.mark.slow
async def test_an_admin_looks_after_everything_in_the_chat(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        ann, boris = await talk.enter(ANN, "Ann"), await talk.enter(BORIS, "Boris")
        await ann.send_text("/start")  # only now can her menu be set
        sent = await boris.send_video(clip, as_document=True)
        await tap(boris, "Start", await see_plan(boris, sent))
        await see_result(boris, sent)
        job = (await talk.jobs())[0]

        machines = await ask(ann, "/machines", "Give back 1")
        await tap(ann, "Give back 1", machines)
        await tap(ann, "No", machines)
        status = await ask(ann, "/status", "All jobs: 0")
        await tap(ann, "Failed today", status)
        await see_text(ann, "There are no such jobs.", status)
        newer = await ask(ann, "/status", "All jobs: 0")
        assert newer.id > status.id
        await ask(ann, "/spend", "nothing is rented, so there is nothing to pay")
        logs = await ask(ann, f"/logs {job.short_id}", "📜 film.mp4")
        assert "=== Remote Runner Starting ===" in logs.text
        health = await ask(ann, "/health", "✅ All is well")
        assert "The storage answers" in health.text

        # who is no admin sees only what is his
        assert "Only administrators" in (await ask(boris, "/health", "Only admin")).text
        own = await ask(boris, "/status", "Nothing is being done")
        assert "Machines" not in own.text
        assert "health" in await ann.commands()
        assert "health" not in await boris.commands()


@pytest.mark.slow
async def test_the_queue_is_ordered_paused_and_drained(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home", NOXFVR_MAX_MACHINES="1") as talk:
        ann, boris = await talk.enter(ANN, "Ann"), await talk.enter(BORIS, "Boris")
        await tap(ann, "Pause", await ask(ann, "/queue", "Nobody waits."))
        for chat, name in ((ann, "first.mp4"), (boris, "second.mp4")):
            sent = await chat.send_video(clip, as_document=True, file_name=name)
            await tap(chat, "Start", await see_plan(chat, sent))
        queue = await ask(ann, "/queue", "1. first.mp4")
        await tap(ann, "⏫ 2", queue)
        await see_text(ann, "1. second.mp4", queue)
        await see_text(boris, "number 1")
        assert {job.state for job in await talk.jobs()} == {JobState.QUEUED}
        assert talk.count_machines() == 0

        drain = await ask(ann, "/drain", "Yes, stop")
        await tap(ann, "Yes, stop", drain)
        await see_text(ann, "It can be switched off", drain)
        await tap(ann, "Go on", drain)
        done = await talk.until(
            lambda jobs: all(job.state is JobState.DONE for job in jobs) and jobs
        )
        by_end = sorted(done, key=lambda job: job.ended_at)
        assert [job.source_name for job in by_end] == ["second.mp4", "first.mp4"]


async def test_a_stranger_is_nobody_until_an_invitation_is_followed(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        ann = await talk.enter(ANN, "Ann")
        stranger = await talk.enter(STRANGER, "Svetlana", "ru")
        await stranger.send_text("/start")
        await stranger.send_video(clip)
        await stranger.send_text("/start inv_made_up")
        users = await ask(ann, "/users", "👥 People: 2")
        await tap(ann, "Invite", users)
        link = await see_text(ann, "?start=inv_")
        code = link.text.split("?start=")[1].split()[0]
        assert not [m for m in await stranger.messages() if m.from_bot]

        await stranger.send_text(f"/start {code}")
        await see_text(stranger, "вас пригласили")
        await see_text(ann, "Svetlana (300) uses the bot now")
        sent = await stranger.send_video(clip)
        await stranger.wait_for(lambda m: m.reply_to_id == sent.id and m.button("Старт"), 60)
        # it lets in one person, once
        other = await talk.enter(301, "Other")
        await other.send_text(f"/start {code}")
        await ask(ann, "/users", "👥 People: 3")
        with pytest.raises(WaitError):
            await other.wait_for(lambda m: True, 1)

        # shut out: not even a press is answered
        users = await ask(ann, "/users", "Svetlana")
        await tap(ann, "Svetlana", users)
        await tap(ann, "Shut out", users)
        press = await talk.driver.press_raw(STRANGER, STRANGER, sent.id + 1, "hl")
        with pytest.raises(WaitError):
            await press.answer(1)


@pytest.mark.slow
async def test_health_and_figures_are_served(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4")
    async with talking(tmp_path / "home") as talk:
        ann = await talk.enter(ANN, "Ann")
        await see_plan(ann, await ann.send_video(clip))
        status, body = await talk.fetch(f"{talk.web}/healthz")
        assert (status, json.loads(body)["ok"]) == (200, True)
        status, body = await talk.fetch(f"{talk.web}/metrics")
        assert status == 200
        assert b'noxfvr_jobs{state="draft"} 1.0' in body
        assert (await talk.fetch(f"{talk.web}/d/made_up_code_that_nobody_has"))[0] in (404, 410)
        assert (await talk.fetch(f"{talk.web}/"))[0] == 404
        await see(ann, "Start")

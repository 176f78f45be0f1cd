"""Several people at once: in their own chats, and in a group with a stranger."""

import pytest

from bot.sandbox.conversation import WaitError
from controller.states import JobState
from tests.e2e.chatting import (
    ANN,
    BORIS,
    GROUP,
    STRANGER,
    make_tiny,
    see,
    see_plan,
    see_result,
    talking,
    tap,
)

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


async def test_the_jobs_of_two_people_do_not_mix(tmp_path):
    clips = {ANN: make_tiny(tmp_path / "ann.mp4"), BORIS: make_tiny(tmp_path / "b.mp4", seed=1)}
    async with talking(tmp_path / "home", NOXFVR_MAX_MACHINES="2") as talk:
        chats = {ANN: await talk.enter(ANN, "Ann"), BORIS: await talk.enter(BORIS, "Boris")}
        sent = {
            user: await chat.send_video(clips[user], as_document=True)
            for user, chat in chats.items()
        }
        cards = {user: await see_plan(chat, sent[user]) for user, chat in chats.items()}
        await tap(chats[BORIS], "×4", cards[BORIS])
        await see(chats[BORIS], "✓ ×4", cards[BORIS])

        # the buttons of the one are nothing to the other, nor to a stranger
        await talk.driver.person(STRANGER, "Svetlana")
        start = cards[ANN].button("Start").callback_data
        forged = await talk.driver.press_raw(BORIS, BORIS, cards[BORIS].id, start)
        assert "isn't yours" in (await forged.answer()).text
        silent = await talk.driver.press_raw(STRANGER, ANN, cards[ANN].id, start)
        with pytest.raises(WaitError):
            await silent.answer(1)
        assert {job.state for job in await talk.jobs()} == {JobState.DRAFT}

        for user, chat in chats.items():
            await tap(chat, "Start", cards[user])
        for user, size in ((ANN, "192×128"), (BORIS, "384×256")):
            result = await see_result(chats[user], sent[user])
            assert size in result.text
            assert clips[user].name in result.text
            others = [m for m in await chats[user].messages() if m.from_bot]
            assert not any(clips[ANN + BORIS - user].name in m.text for m in others)
        owners = {job.owner: job.chat for job in await talk.jobs()}
        assert owners == {ANN: ANN, BORIS: BORIS}


async def test_a_group_has_one_card_for_all_and_its_stranger_has_no_say(tmp_path):
    clip = make_tiny(tmp_path / "film.mp4", seconds=20)
    async with talking(tmp_path / "home", NOXFVR_MAX_MACHINES="1") as talk:
        people = [
            await talk.driver.person(user, name)
            for user, name in ((ANN, "Ann"), (BORIS, "Boris"), (STRANGER, "Svetlana"))
        ]
        await talk.driver.group(GROUP, "Films", people)
        ann, boris, svetlana = (each.enter(GROUP) for each in people)
        private = people[0].chat
        await private.send_text("/queue")
        await tap(private, "Pause")
        command = f"/upscale@{(await talk.driver.state())['bot']['username']}"
        sent = {}
        for chat, name in ((boris, "boris.mp4"), (ann, "ann.mp4")):
            sent[chat] = await chat.send_video(clip, command, as_document=True, file_name=name)
            card = await see_plan(chat, sent[chat])
            await tap(chat, "Start", card)
        await svetlana.send_video(clip, command, as_document=True)
        common = await boris.wait_for(
            lambda m: (
                "In work: 2 videos" in m.text and "boris.mp4" in m.text and "ann.mp4" in m.text
            ),
            60,
        )
        cancel = next(b for b in common.buttons if "✖" in b.text).callback_data
        press = await talk.driver.press_raw(STRANGER, GROUP, common.id, cancel)
        with pytest.raises(WaitError):
            await press.answer(1)

        # Boris is not asked about what is Ann's; an admin may cancel what is his
        jobs = {job.source_name: job for job in await talk.jobs()}
        assert len(jobs) == 2
        not_his = f"✖ {jobs['ann.mp4'].short_id}"
        assert "isn't yours" in await tap(boris, not_his, common)
        await tap(ann, f"✖ {jobs['boris.mp4'].short_id}", common)
        await tap(ann, "Yes, cancel", common)
        await tap(private, "Go on")
        await see_result(ann, sent[ann])
        ended = await talk.until(
            lambda found: all(job.state.is_terminal for job in found) and found
        )
        assert {job.source_name: job.state for job in ended} == {
            "ann.mp4": JobState.DONE, "boris.mp4": JobState.CANCELLED,
        }  # fmt: skip
        await boris.wait_for(lambda m: m.id == common.id and "All is done" in m.text, 60)

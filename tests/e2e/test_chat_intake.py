"""How videos come in: each way over HTTP, with the real programs."""

import aiohttp
import pytest

from bot.sandbox.conversation import Item
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

pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
async def test_each_way_to_send_a_video_ends_in_one_plan_card(tmp_path):
    clip = make_tiny(tmp_path / "holiday.mp4")
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        await talk.enter(BORIS, "Boris")
        stored = make_tiny(talk.settings.storage_dir / "input" / "c1" / "клип.mp4")
        sent, cards = [], []
        for send in (
            lambda: chat.send_video(clip),
            lambda: chat.send_video(clip, as_document=True),
            lambda: chat.send_video(clip, forward_from=BORIS),
            lambda: chat.send_video(clip, "/x4"),
            lambda: chat.send_text(f"input/c1/{stored.name}"),
        ):
            # what comes at the same moment would be one batch
            sent.append(await send())
            cards.append(await see_plan(chat, sent[-1]))
        assert all("96×64 · 24 fps · 2 s" in card.text for card in cards)
        assert [("384×256" in card.text) for card in cards] == [False, False, False, True, False]
        messages = {m.id: m for m in await chat.messages()}
        assert all("👀" in messages[each.id].reactions for each in sent)
        assert len(await of_bot(chat)) == len(sent)

        # a command in reply to an older video sets its plan, at the bottom of the chat
        asked = await chat.reply(sent[1], "/smooth")
        moved = await chat.wait_for(lambda m: m.id > asked.id and m.button("Start"), 60)
        assert "Will be: 96×64, 48 fps" in moved.text
        await chat.wait_until(
            lambda ms: next((m for m in ms if m.id == cards[1].id and not m.buttons), None)
        )
        jobs = await talk.jobs()
        assert [job.state for job in jobs] == [JobState.DRAFT] * len(sent)

        # a bucket that this deployment does not have is refused in words
        sent_path = await chat.send_text("b2://films/holiday.mp4")
        refused = await chat.wait_for(lambda m: m.reply_to_id == sent_path.id, 60)
        refused = await chat.wait_until(
            lambda ms: next((m for m in ms if m.id == refused.id and "👀" not in m.text), None), 60
        )
        assert not refused.buttons
        assert len(await talk.jobs()) == len(sent)


@pytest.mark.slow
async def test_an_album_becomes_one_card_and_its_files_come_back_with_links(tmp_path):
    clips = [make_tiny(tmp_path / f"{n}.mp4", seed=n) for n in range(3)]
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_album([Item(path=each) for each in clips])
        card = await see(chat, "Start all (3)")
        assert len(await of_bot(chat)) == 1
        assert await tap(chat, "Start all (3)", card) == "Started: 3 files"
        end = await see_text(chat, "🏁 Finished")
        assert "✅ 3 done" in end.text
        links = [e["url"] for e in end.raw["entities"] if e["type"] == "text_link"]
        assert len(links) == len(set(links)) == 3
        made = sorted((talk.settings.storage_dir / "output").iterdir())
        bodies = {(await talk.fetch(link))[1] for link in links}
        assert bodies == {each.read_bytes() for each in made}
        for each in sent:
            await see_result(chat, each)
        texts = [m for m in await of_bot(chat) if not m.media]
        assert [m.id for m in texts] == [card.id, end.id]


@pytest.mark.slow
async def test_a_folder_becomes_one_card_that_names_what_is_no_video(tmp_path):
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        folder = talk.settings.storage_dir / "input" / "c1"
        for n in range(2):
            make_tiny(folder / f"{n}.mp4", seed=n)
        (folder / "broken.mp4").write_text("no video at all")
        await chat.send_text("/batch input/c1")
        card = await see(chat, "Start all (2)")
        assert "⛔ broken.mp4" in card.text
        assert await tap(chat, "×4", card) == ""
        card = await see(chat, "✓ ×4", card)
        await tap(chat, "Cancel all", card)
        await see_text(chat, "Nothing was started", card)
        assert {job.state for job in await talk.jobs()} == {JobState.CANCELLED}
        assert len(list(folder.iterdir())) == 3
        await chat.send_text("/batch input/none")
        await see_text(chat, "There are no videos there.")


async def test_a_file_over_the_limit_comes_in_by_the_upload_page(tmp_path):
    clip = make_tiny(tmp_path / "large.mp4")
    content = clip.read_bytes()
    async with talking(tmp_path / "home") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, size=30_000_000)
        card = await see(chat, "Upload page")
        assert "30 MB" in card.text
        url = card.button("Upload page").url
        assert url.startswith(f"{talk.web}/u/")
        assert await talk.fetch(url) == (200, (await talk.fetch(url))[1])
        await tap(chat, "How to send a path", card)
        card = await see_text(chat, "input/c1/film.mp4", card)
        assert card.button("Upload page").url == url

        async with aiohttp.ClientSession() as session:
            told = {"name": "notes.txt", "bytes": len(content), "type": "text/plain"}
            async with session.post(f"{url}/open", json=told) as answer:
                assert answer.status >= 400
            told = {"name": "large.mp4", "bytes": len(content), "type": "video/mp4"}
            async with session.post(f"{url}/open", json=told) as answer:
                opened = await answer.json()
                assert (answer.status, opened["bytes"]) == (200, len(content))
            async with session.post(f"{url}/parts", json={"numbers": [1]}) as answer:
                (part,) = (await answer.json())["urls"].values()
            async with session.put(part or f"{url}/parts/1", data=content) as answer:
                assert answer.status == 200, await answer.text()
            async with session.post(f"{url}/complete", json={}) as answer:
                assert answer.status in (200, 202), await answer.text()
        plan = await see_plan(chat, sent)
        assert "large.mp4" in plan.text
        (job,) = await talk.jobs()
        assert (talk.settings.storage_dir / job.source_key).read_bytes() == content


@pytest.mark.slow
async def test_a_server_of_ones_own_hands_files_over_by_path(tmp_path):
    clip = make_tiny(tmp_path / "local.mp4")
    home = tmp_path / "home"
    async with talking(home, options=("--local-files",), TELEGRAM_LOCAL_FILES="true") as talk:
        chat = await talk.enter(ANN, "Ann")
        sent = await chat.send_video(clip, as_document=True)
        await see_plan(chat, sent)
        await tap(chat, "Start")
        result = await see_result(chat, sent)
        got = await chat.download(result, tmp_path / "result.mp4")
        (made,) = (talk.settings.storage_dir / "output").iterdir()
        assert got.read_bytes() == made.read_bytes()

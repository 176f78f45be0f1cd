from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiogram import Bot, Dispatcher, F
from aiogram.exceptions import TelegramForbiddenError
from aiogram.filters import Command
from aiogram.types import (
    BufferedInputFile,
    CallbackQuery,
    ChatMemberUpdated,
    DisabledButton,
    FSInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
)

from bot.sandbox import Driver, Item, Person, RefusedError, Rules, Sandbox, WaitError

from .conftest import MP4, connect, polling

HOSTILE = '<b>x</b>\u202e"; rm -rf \r\n../../я🎬.mp4'


def keyboard(*buttons: InlineKeyboardButton) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=[list(buttons)])


def start_button(text: str = "▶ Start") -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data="start:1")


def talk() -> Dispatcher:
    dispatcher = Dispatcher()

    @dispatcher.message(Command("start"))
    async def greet(message: Message) -> None:
        await message.answer(f"Hello {message.from_user.first_name}")

    @dispatcher.message(F.video | F.document)
    async def take(message: Message, bot: Bot) -> None:
        file = message.video or message.document
        content = await bot.download(file)
        card = await message.reply("card", reply_markup=keyboard(start_button()))
        await card.edit_text(
            f"{file.file_name} {file.file_size}", reply_markup=keyboard(start_button())
        )
        sent = BufferedInputFile(content.read()[::-1], file.file_name)
        await message.reply_document(sent, caption="result")

    @dispatcher.callback_query(F.data == "start:1")
    async def begin(query: CallbackQuery) -> None:
        await query.answer("going")
        waiting = InlineKeyboardButton(text="▶ Start", disabled=DisabledButton())
        await query.message.edit_text("running", reply_markup=keyboard(waiting))

    return dispatcher


async def test_text_is_answered_and_the_transcript_tells_it_in_order(
    bot: Bot, driver: Driver
) -> None:
    eve = await driver.person(9, "Eve & <i>co</i>", language_code="en")
    async with polling(talk(), bot):
        await eve.chat.send_text("/start")
        await eve.chat.wait_for("Hello Eve & <i>co</i>")
    entries = await eve.chat.transcript()
    assert [(entry.by, entry.kind, entry.text) for entry in entries] == [
        (9, "send", "/start"),
        ("bot", "send", "Hello Eve & <i>co</i>"),
    ]
    assert entries[0].at <= entries[1].at
    assert entries[0].message.raw["from"]["is_bot"] is False


@pytest.mark.parametrize("as_document", [False, True])
async def test_file_goes_to_the_bot_and_back_with_equal_bytes_and_name(
    bot: Bot, ann: Person, tmp_path: Path, as_document: bool
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4 + os.urandom(300_000))
    async with polling(talk(), bot):
        sent = await ann.chat.send_video(
            clip, "please", as_document=as_document, file_name="клип 1.mp4"
        )
        result = await ann.chat.wait_for("result")
    assert sent.file["file_size"] == clip.stat().st_size
    assert sent.media == ("document" if as_document else "video")
    assert result.reply_to_id == sent.id
    saved = await ann.chat.download(result, tmp_path / "back")
    assert saved.read_bytes() == clip.read_bytes()[::-1]
    assert result.file["file_name"] == "клип 1.mp4"
    assert any("клип 1.mp4" in message.text for message in await ann.chat.messages())


async def test_hostile_file_name_reaches_the_bot_unchanged(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(MP4)
    await ann.chat.send_video(clip, as_document=True, file_name=HOSTILE)
    await ann.chat.send_video(clip, file_name="", width=64, height=36, duration_s=3)
    updates = await bot.get_updates()
    assert updates[-2].message.document.file_name == HOSTILE
    video = updates[-1].message.video
    assert (video.width, video.height, video.duration) == (64, 36, 3)


async def test_press_is_answered_and_the_disabled_button_cannot_be_pressed_again(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    async with polling(talk(), bot):
        await ann.chat.send_video(clip)
        card = await ann.chat.wait_for("Start")
        press = await ann.chat.press(card, "Start")
        assert (await press.answer()).text == "going"
        running = await ann.chat.wait_for("running")
    assert running.id == card.id
    assert running.button("Start").disabled
    with pytest.raises(RefusedError, match="is disabled"):
        await ann.chat.press(running, "Start")
    with pytest.raises(RefusedError, match="no button"):
        await ann.chat.press(running, "Cancel")


async def test_forged_press_by_a_stranger_arrives_as_pressed(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    stranger = await driver.person(666, "Mallory")
    card = await bot.send_message(ann.id, "card", reply_markup=keyboard(start_button()))
    await driver.press_raw(stranger.id, ann.id, card.message_id, "cancel:all")
    update = (await bot.get_updates())[-1]
    assert update.callback_query.from_user.id == 666
    assert update.callback_query.data == "cancel:all"
    assert update.callback_query.message.text == "card"


async def test_unanswered_press_and_missing_message_say_what_is_there(
    bot: Bot, ann: Person
) -> None:
    card = await bot.send_message(ann.id, "card", reply_markup=keyboard(start_button()))
    shown = (await ann.chat.messages())[-1]
    assert shown.id == card.message_id
    press = await ann.chat.press(shown, "start:1")
    with pytest.raises(WaitError, match="not answered"):
        await press.answer(timeout_s=0.05)
    with pytest.raises(WaitError, match="'card'"):
        await ann.chat.wait_for("nothing like it", timeout_s=0.05)


async def test_album_is_separate_messages_with_one_group_id(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    items = [Item(path=clip, caption="two"), Item(path=clip, file_name="b.mp4")]
    sent = await ann.chat.send_album(items)
    updates = (await bot.get_updates())[-2:]
    assert [update.message.message_id for update in updates] == [m.id for m in sent]
    assert len({update.message.media_group_id for update in updates}) == 1
    assert updates[0].message.caption == "two"


async def test_forwarded_reply_and_edited_messages_carry_where_they_come_from(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    bob = await driver.person(8, "Bob")
    first = await ann.chat.send_text("look", forward_from=bob.id)
    await ann.chat.send_text("hidden", forward_from="Somebody")
    await ann.chat.reply(first, "this one")
    await ann.chat.edit_text(first, "see https://example.org")
    forwarded, hidden, replied, edited = (await bot.get_updates())[-4:]
    assert forwarded.message.forward_origin.sender_user.first_name == "Bob"
    assert hidden.message.forward_origin.sender_user_name == "Somebody"
    assert replied.message.reply_to_message.text == "look"
    assert edited.edited_message.entities[0].type == "url"


async def test_update_shows_the_message_as_it_was_when_it_happened(bot: Bot, ann: Person) -> None:
    first = await ann.chat.send_text("before")
    await ann.chat.edit_text(first, "after")
    updates = await bot.get_updates()
    assert [u.message.text for u in updates if u.message][-1] == "before"
    assert updates[-1].edited_message.text == "after"


async def test_bot_cannot_write_before_the_person_did_nor_while_blocked(
    bot: Bot, driver: Driver
) -> None:
    eve = await driver.person(9, "Eve")
    with pytest.raises(Exception, match="Bad Request: chat not found"):
        await bot.send_message(eve.id, "spam")
    await eve.chat.send_text("hi")
    await eve.chat.block_bot()
    with pytest.raises(TelegramForbiddenError, match="Forbidden: bot was blocked by the user"):
        await bot.send_message(eve.id, "spam")
    with pytest.raises(RefusedError, match="blocked"):
        await eve.chat.send_text("hi")
    await eve.chat.unblock_bot()
    await bot.send_message(eve.id, "welcome back")
    changes = [u.my_chat_member for u in await bot.get_updates() if u.my_chat_member]
    assert all(isinstance(change, ChatMemberUpdated) for change in changes)
    assert [change.new_chat_member.status for change in changes] == ["kicked", "member"]


async def test_group_shows_the_bot_commands_replies_and_mentions_only(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    bob = await driver.person(8, "Bob")
    group_id = await driver.group(-100200, "Films", {ann: "administrator", bob: "member"})
    chat = bob.enter(group_id)
    said = await bot.send_message(group_id, "hello all")
    for text in ("gossip", "/status", "/status@someone_else", "@noxfvr_sandbox_bot hi"):
        await chat.send_text(text)
    hello = await chat.message(said.message_id)
    await chat.reply(hello, "yes?")
    seen = [u.message.text for u in await bot.get_updates() if u.message.chat.id == group_id]
    assert seen == ["/status", "@noxfvr_sandbox_bot hi", "yes?"]
    member = await bot.get_chat_member(group_id, ann.id)
    assert member.status == "administrator"
    await chat.block_bot()
    with pytest.raises(TelegramForbiddenError, match="kicked from the supergroup chat"):
        await bot.send_message(group_id, "still here?")


async def test_message_ids_count_up_in_each_chat_by_itself(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    bob = await driver.person(8, "Bob")
    assert (await bob.chat.send_text("1")).id == 1
    assert (await bot.send_message(bob.id, "2")).message_id == 2
    assert (await bot.send_message(ann.id, "2")).message_id == 2


async def test_message_deleted_by_the_person_is_gone_for_the_bot(bot: Bot, ann: Person) -> None:
    card = await bot.send_message(ann.id, "card")
    shown = (await ann.chat.messages())[-1]
    await ann.chat.delete_message(shown)
    assert all(message.id != card.message_id for message in await ann.chat.messages())
    with pytest.raises(Exception, match="message to edit not found"):
        await card.edit_text("new")


async def test_follow_yields_entries_as_they_come(bot: Bot, driver: Driver, ann: Person) -> None:
    found = []

    async def watch() -> None:
        async for entry in driver.follow(ann.id):
            found.append(str(entry))
            if "bye" in entry.text:
                return

    watching = asyncio.create_task(watch())
    await bot.send_message(ann.id, "hello")
    await bot.send_message(ann.id, "bye")
    await asyncio.wait_for(watching, 5)
    assert found == ["7 send #1: /start", "bot send #2: hello", "bot send #3: bye"]


async def test_local_files_mode_gives_absolute_paths_and_takes_them(tmp_path: Path) -> None:
    rules = Rules(local_files=True, max_download_bytes=10)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    async with (
        Sandbox(rules=rules, root=tmp_path / "server", limited=False) as sandbox,
        sandbox.driver() as driver,
        connect(sandbox.base_url) as bot,
    ):
        ann = await driver.person(7, "Ann")
        sent = await ann.chat.send_video(clip)
        file = await bot.get_file(sent.file["file_id"])
        assert Path(file.file_path).is_absolute()
        assert Path(file.file_path).read_bytes() == MP4
        result = await bot.send_video(ann.id, clip.as_uri())
        assert result.video.file_size == len(MP4)
        with pytest.raises(Exception, match="wrong file identifier"):
            await bot.send_video(ann.id, "file:///no/such/file.mp4")


@asynccontextmanager
async def served(*options: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.sandbox", *options, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield (await process.stdout.readline()).decode().strip(), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sandbox_as_a_process_is_driven_over_http_and_ends_on_sigterm(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    options = ("--token", "5:secret", "--dir", str(tmp_path / "files"), "--no-limits")
    async with served(*options) as (base_url, process):
        async with Driver(base_url) as driver, connect(base_url, "5:secret") as bot:
            ann = await driver.person(7, "Ann")
            async with polling(talk(), bot):
                await ann.chat.send_video(clip)
                card = await ann.chat.wait_for("Start")
                await ann.chat.press(card, "Start")
                await ann.chat.wait_for("running")
                result = await ann.chat.wait_for("result")
            saved = await ann.chat.download(result, tmp_path / "back")
            assert saved.read_bytes() == MP4[::-1]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_wrong_token_and_taken_port_are_usage_errors() -> None:
    async with served() as (base_url, process):
        port = base_url.rpartition(":")[2]
        for options in (("--token", "secret"), ("--port", port)):
            async with served(*options) as (line, refused):
                assert line == ""
                assert await asyncio.wait_for(refused.wait(), 10) == 2
        assert process.returncode is None


async def test_buttons_of_one_label_are_told_apart_by_their_data(bot: Bot, ann: Person) -> None:
    buttons = [InlineKeyboardButton(text="✖", callback_data=f"cancel:{n}") for n in (1, 2)]
    await bot.send_message(ann.id, "two jobs", reply_markup=keyboard(*buttons))
    card = await ann.chat.wait_for("two jobs")
    await ann.chat.press(card, "cancel:2")
    assert (await bot.get_updates())[-1].callback_query.data == "cancel:2"


async def test_person_can_change_language_and_stays_blocked(bot: Bot, driver: Driver) -> None:
    eve = await driver.person(9, "Eve", language_code="en")
    await eve.chat.send_text("hi")
    await eve.chat.block_bot()
    await driver.person(9, "Eva", language_code="ru")
    with pytest.raises(TelegramForbiddenError):
        await bot.send_message(9, "hi")
    await eve.chat.unblock_bot()
    await eve.chat.send_text("привет")
    sender = (await bot.get_updates())[-1].message.from_user
    assert (sender.first_name, sender.language_code) == ("Eva", "ru")


async def test_bot_uploads_from_disk_and_downloads_to_memory(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    clip = tmp_path / "big.mp4"
    clip.write_bytes(MP4 + os.urandom(5 << 20))
    sent = await bot.send_video(ann.id, FSInputFile(clip), width=640, height=360, duration=9)
    assert (sent.video.width, sent.video.height, sent.video.duration) == (640, 360, 9)
    target = io.BytesIO()
    await bot.download(sent.video, target)
    assert target.getvalue() == clip.read_bytes()

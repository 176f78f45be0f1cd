from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from aiogram import Bot
from aiogram.methods import TelegramMethod
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BufferedInputFile,
    FSInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    LinkPreviewOptions,
    ReactionTypeEmoji,
    ReplyParameters,
)

from bot.sandbox import Driver, Person, Sandbox
from bot.sandbox.methods import METHODS

from .conftest import MP4, png

PNG = png(64, 36)
ANSWERED_ELSEWHERE = {"setwebhook", "deletewebhook", "getwebhookinfo", "getupdates", "close"}


def keyboard(text: str = "Go", data: str = "go") -> InlineKeyboardMarkup:
    button = InlineKeyboardButton(text=text, callback_data=data)
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


def media(name: str = "a.mp4", data: bytes = MP4) -> BufferedInputFile:
    return BufferedInputFile(data, name)


async def test_every_method_answers_what_aiogram_can_parse(bot: Bot, ann: Person) -> None:
    called: set[str] = set()

    async def remember(make_request, to_bot: Bot, method: TelegramMethod[object]) -> object:
        called.add(type(method).__name__.lower())
        return await make_request(to_bot, method)

    bot.session.middleware(remember)
    me = await bot.get_me()
    assert (me.is_bot, me.id) == (True, bot.id)
    assert me.can_read_all_group_messages is False
    text = await bot.send_message(ann.id, "text", reply_markup=keyboard())
    await bot.edit_message_text("new", chat_id=ann.id, message_id=text.message_id)
    await bot.edit_message_reply_markup(
        chat_id=ann.id, message_id=text.message_id, reply_markup=keyboard("Stop", "stop")
    )
    video = await bot.send_video(ann.id, media(), thumbnail=media("t.png", PNG), caption="c")
    assert video.video.thumbnail.width == 64
    await bot.edit_message_caption(chat_id=ann.id, message_id=video.message_id, caption="d")
    document = await bot.send_document(ann.id, media("a.mkv"))
    assert document.document.mime_type == "video/x-matroska"
    photo = await bot.send_photo(ann.id, media("a.png", PNG), has_spoiler=True)
    assert (photo.photo[-1].width, photo.has_media_spoiler) == (64, True)
    edited = await bot.edit_message_media(
        InputMediaPhoto(media=media("b.png", png(20, 10)), caption="after"),
        chat_id=ann.id,
        message_id=text.message_id,
    )
    assert (edited.text, edited.caption, edited.photo[0].width) == (None, "after", 20)
    album = await bot.send_media_group(
        ann.id,
        [InputMediaVideo(media=media(), caption="1"), InputMediaPhoto(media=media("p", PNG))],
    )
    assert album[0].media_group_id == album[1].media_group_id
    assert await bot.send_chat_action(ann.id, "upload_video")
    assert (await bot.get_file(video.video.file_id)).file_size == len(MP4)
    assert await bot.set_message_reaction(ann.id, 1, [ReactionTypeEmoji(emoji="👀")])
    assert await bot.pin_chat_message(ann.id, album[0].message_id)
    chat = await bot.get_chat(ann.id)
    assert (chat.first_name, chat.pinned_message.caption) == ("Ann", "1")
    assert (await bot.get_chat_member(ann.id, ann.id)).status == "member"
    assert await bot.set_my_commands([BotCommand(command="start", description="Begin")])
    assert (await bot.get_my_commands())[0].command == "start"
    assert await bot.delete_my_commands()
    assert await bot.set_chat_menu_button()
    assert (await bot.get_chat_menu_button()).type == "commands"
    assert await bot.set_my_description("long", "ru")
    assert await bot.set_my_short_description("short")
    card = await bot.send_message(ann.id, "card", reply_markup=keyboard())
    shown = await ann.chat.wait_for("card")
    press = await ann.chat.press(shown, "Go")
    assert await bot.answer_callback_query(press.query_id, "yes", show_alert=True)
    assert (await press.answer()).show_alert
    assert await bot.delete_message(ann.id, card.message_id)
    assert await bot.log_out()
    with pytest.raises(Exception, match="Logged out"):
        await bot.get_me()
    assert METHODS.keys() - called == ANSWERED_ELSEWHERE


async def test_close_is_refused_in_the_first_ten_minutes(bot: Bot, driver: Driver) -> None:
    with pytest.raises(Exception, match="Too Many Requests: retry after"):
        await bot.close()
    await driver.advance(601)
    # aiogram's own coroutine of this name closes the session as well, after the answer.
    assert await bot.close()


async def test_file_id_sends_the_same_file_again(bot: Bot, ann: Person, tmp_path: Path) -> None:
    first = await bot.send_video(ann.id, media("film.mp4"), width=320, height=180)
    again = await bot.send_video(ann.id, first.video.file_id, caption="again")
    assert again.video == first.video
    copies = [InputMediaVideo(media=first.video.file_id)] * 2
    assert len(await bot.send_media_group(ann.id, copies)) == 2
    saved = await ann.chat.download((await ann.chat.messages())[-1], tmp_path / "saved")
    assert saved.read_bytes() == MP4


async def test_video_that_is_no_mp4_arrives_as_document(bot: Bot, ann: Person) -> None:
    sent = await bot.send_video(ann.id, media("a.mkv", b"\x1aE\xdf\xa3" + MP4))
    assert sent.video is None
    assert sent.document.file_name == "a.mkv"


async def test_files_of_one_album_keep_their_own_bytes(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    pair = [InputMediaDocument(media=media(f"{n}.bin", bytes([n]) * 10)) for n in (1, 2)]
    await bot.send_media_group(ann.id, pair)
    for number, message in enumerate((await ann.chat.messages())[-2:], start=1):
        saved = await ann.chat.download(message, tmp_path / str(number))
        assert saved.read_bytes() == bytes([number]) * 10


async def test_html_and_entities_and_link_preview_come_back_as_sent(bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(
        ann.id,
        '🎬 <b>bold</b> <a href="https://example.org/x">link</a>',
        parse_mode="HTML",
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )
    assert sent.text == "🎬 bold link"
    assert [(e.type, e.offset, e.length) for e in sent.entities] == [
        ("bold", 3, 4),
        ("text_link", 8, 4),
    ]
    assert sent.link_preview_options.is_disabled
    assert sent.html_text == '🎬 <b>bold</b> <a href="https://example.org/x">link</a>'


async def test_reply_quotes_or_goes_without_when_that_is_allowed(bot: Bot, ann: Person) -> None:
    quoting = ReplyParameters(message_id=1, quote="start")
    quoted = await bot.send_message(ann.id, "re", reply_parameters=quoting)
    assert (quoted.reply_to_message.text, quoted.quote.text) == ("/start", "start")
    lenient = ReplyParameters(message_id=99, allow_sending_without_reply=True)
    assert (
        await bot.send_message(ann.id, "re", reply_parameters=lenient)
    ).reply_to_message is None


async def test_edit_without_keyboard_removes_it_and_dates_the_edit(bot: Bot, ann: Person) -> None:
    card = await bot.send_message(ann.id, "card", reply_markup=keyboard())
    edited = await card.edit_text("new")
    assert edited.reply_markup is None
    assert edited.edit_date >= int(card.date.timestamp())
    restored = await edited.edit_reply_markup(reply_markup=keyboard())
    assert restored.reply_markup.inline_keyboard[0][0].callback_data == "go"


async def test_person_sees_the_commands_of_the_narrowest_scope_in_their_language(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    bob = await driver.person(8, "Bob", language_code="en")
    private = BotCommandScopeAllPrivateChats()
    await bot.set_my_commands([BotCommand(command="start", description="Begin")])
    await bot.set_my_commands(
        [BotCommand(command="help", description="Помощь")], private, language_code="ru"
    )
    assert await ann.chat.commands() == {"help": "Помощь"}
    assert await bob.chat.commands() == {"start": "Begin"}
    admin = BotCommandScopeChat(chat_id=ann.id)
    await bot.set_my_commands([BotCommand(command="spend", description="Money")], admin)
    assert await ann.chat.commands() == {"spend": "Money"}
    with pytest.raises(Exception, match="chat not found"):
        await bot.set_my_commands([], BotCommandScopeChat(chat_id=bob.id))


async def test_reaction_is_shown_and_taken_back(bot: Bot, ann: Person) -> None:
    await bot.set_message_reaction(ann.id, 1, [ReactionTypeEmoji(emoji="👀")])
    assert (await ann.chat.messages())[0].reactions == ("👀",)
    await bot.set_message_reaction(ann.id, 1, [])
    assert (await ann.chat.messages())[0].reactions == ()


async def test_transcript_tells_which_sends_were_silent(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "quiet", disable_notification=True)
    await bot.send_message(ann.id, "loud")
    sends = [entry for entry in await ann.chat.transcript() if entry.from_bot]
    assert [entry.raw["silent"] for entry in sends] == [True, False]


async def test_parameters_come_urlencoded_json_multipart_or_in_the_query(
    sandbox: Sandbox, ann: Person
) -> None:
    url = f"{sandbox.base_url}/bot{sandbox.token}"
    fields = {"chat_id": str(ann.id), "text": "hi", "reply_markup": keyboard().model_dump_json()}
    form = aiohttp.FormData({"chat_id": str(ann.id), "caption": "direct"})
    form.add_field("document", MP4, filename="a.mp4")
    async with aiohttp.ClientSession() as session:
        answers = [
            await session.post(f"{url}/sendMessage", data=fields),
            await session.post(
                f"{url}/SENDMESSAGE",
                json={
                    **fields,
                    "reply_markup": {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]},
                },
            ),
            await session.get(f"{url}/sendMessage", params=fields),
            await session.post(f"{url}/sendDocument", data=form),
        ]
        results = [json.loads(await answer.text())["result"] for answer in answers]
    assert [r.get("text", r.get("caption")) for r in results] == ["hi", "hi", "hi", "direct"]
    assert all(r["reply_markup"]["inline_keyboard"] for r in results[:3])
    assert results[0]["date"] < 10_000_000_000


async def test_pages_of_other_sites_are_kept_out(sandbox: Sandbox) -> None:
    url = f"{sandbox.base_url}/sandbox/state"
    async with aiohttp.ClientSession() as session:
        foreign = [{"Origin": "https://evil.example"}, {"Host": "evil.example"}]
        for headers in foreign:
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 403
        async with session.get(url, headers={"Origin": sandbox.base_url}) as answer:
            assert answer.status == 200


async def test_large_upload_streams_through(bot: Bot, ann: Person, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.write(MP4)
        file.truncate(40 << 20)
    sent = await bot.send_document(ann.id, FSInputFile(film), request_timeout=60)
    assert sent.document.file_size == 40 << 20

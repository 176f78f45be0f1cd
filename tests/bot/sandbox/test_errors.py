from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramNotFound,
    TelegramUnauthorizedError,
)
from aiogram.methods import GetMe
from aiogram.types import (
    BotCommand,
    BotCommandScopeChat,
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    MessageEntity,
    ReactionTypeEmoji,
    ReplyParameters,
    WebAppInfo,
)

from bot.sandbox import DEFAULT_TOKEN, Driver, Person, RefusedError, Rules, Sandbox

from .conftest import MP4, connect, png

ANN = 7


def keyboard(**button: Any) -> InlineKeyboardMarkup:
    made = InlineKeyboardButton.model_construct(**{"text": "Go", **button})
    return InlineKeyboardMarkup.model_construct(inline_keyboard=[[made]])


def media(name: str = "a.mp4", data: bytes = MP4) -> BufferedInputFile:
    return BufferedInputFile(data, name)


def entity(offset: int, length: int) -> MessageEntity:
    return MessageEntity(type="bold", offset=offset, length=length)


def send(text: str = "text", **options: Any) -> Callable[[Bot], Awaitable[Any]]:
    return lambda bot: bot.send_message(options.pop("chat_id", ANN), text, **options)


def edit(text: str, message_id: int = 2, **options: Any) -> Callable[[Bot], Awaitable[Any]]:
    return lambda bot: bot.edit_message_text(text, chat_id=ANN, message_id=message_id, **options)


def react(*emojis: str, message_id: int = 1) -> Callable[[Bot], Awaitable[Any]]:
    wanted = [ReactionTypeEmoji(emoji=emoji) for emoji in emojis]
    return lambda bot: bot.set_message_reaction(ANN, message_id, wanted)


def command(name: str, description: str = "x") -> BotCommand:
    return BotCommand(command=name, description=description)


NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
BUTTON_URL = "inline keyboard button URL"
# Message 1 is the person's, 2 a text card with the button "Go", 3 a photo with the caption "c".
REFUSALS: dict[str, tuple[Callable[[Bot], Awaitable[Any]], str]] = {
    "no chat": (send(chat_id=404), "chat not found"),
    "chat by name": (send(chat_id="@ann"), "chat not found"),
    "no text": (send(""), "message text is empty"),
    "blank text": (send(" \n "), "text must be non-empty"),
    "long text": (send("🎬" * 2048 + "x"), "message is too long"),
    "markdown": (
        send("*x*", parse_mode="MarkdownV2"),
        "the sandbox does not parse MarkdownV2; use HTML or entities",
    ),
    "parse mode": (send(parse_mode="bbcode"), "unsupported parse_mode"),
    "open tag": (
        send("<b>x", parse_mode="HTML"),
        "can't parse entities: Can't find end tag corresponding to start tag \"b\"",
    ),
    "wrong tag": (
        send("я <p>x</p>", parse_mode="HTML"),
        'can\'t parse entities: Unsupported start tag "p" at byte offset 3',
    ),
    "entity end": (
        send("🎬x", entities=[entity(0, 4)]),
        "entity beginning at UTF-16 offset 0 ends after the end of the text at UTF-16 offset 4",
    ),
    "entity start": (
        send("x", entities=[entity(2, 1)]),
        "entity begins after the end of the text at UTF-16 offset 2",
    ),
    "split pair": (
        send("🎬x", entities=[entity(1, 1)]),
        "entity begins in a middle of a UTF-16 symbol at offset 1",
    ),
    "thread": (send(message_thread_id=5), "message thread not found"),
    "no reply": (
        send(reply_parameters=ReplyParameters(message_id=99)),
        "message to be replied not found",
    ),
    "quote": (
        send(reply_parameters=ReplyParameters(message_id=1, quote="never said")),
        "QUOTE_TEXT_INVALID",
    ),
    "long data": (send(reply_markup=keyboard(callback_data="я" * 33)), "BUTTON_DATA_INVALID"),
    "empty data": (send(reply_markup=keyboard(callback_data="")), "BUTTON_DATA_INVALID"),
    "two actions": (
        send(reply_markup=keyboard(callback_data="x", url="https://example.org")),
        "BUTTON_TYPE_INVALID",
    ),
    "no action": (
        send(reply_markup=keyboard()),
        "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
    ),
    "no label": (
        send(reply_markup=keyboard(text=" ", callback_data="x")),
        'can\'t parse inline keyboard button: Field "text" must be non-empty',
    ),
    "style": (
        send(reply_markup=keyboard(callback_data="x", style="loud")),
        "invalid button style specified",
    ),
    "file url": (
        send(reply_markup=keyboard(url="file:///tmp/x")),
        f"{BUTTON_URL} 'file:///tmp/x' is invalid: Unsupported URL protocol",
    ),
    "local url": (
        send(reply_markup=keyboard(url="http://localhost:8080/x")),
        f"{BUTTON_URL} 'http://localhost:8080/x' is invalid: Wrong HTTP URL",
    ),
    "web app": (
        send(reply_markup=keyboard(web_app=WebAppInfo(url="http://example.org"))),
        "inline keyboard button Web App URL 'http://example.org' is invalid: "
        "Only HTTPS links are allowed",
    ),
    "same text": (edit("card", reply_markup=keyboard(callback_data="go")), NOT_MODIFIED),
    "same markup": (
        lambda bot: bot.edit_message_reply_markup(
            chat_id=ANN, message_id=2, reply_markup=keyboard(callback_data="go")
        ),
        NOT_MODIFIED,
    ),
    "long edit": (edit("x" * 4097), "MESSAGE_TOO_LONG"),
    "edit gone": (edit("x", 99), "message to edit not found"),
    "edit foreign": (edit("x", 1), "message can't be edited"),
    "edit photo text": (edit("x", 3), "there is no text in the message to edit"),
    "edit no id": (edit("x", 0), "message identifier is not specified"),
    "inline edit": (
        lambda bot: bot.edit_message_text("x", inline_message_id="abc"),
        "MESSAGE_ID_INVALID",
    ),
    "edit text caption": (
        lambda bot: bot.edit_message_caption(chat_id=ANN, message_id=2, caption="x"),
        "there is no caption in the message to edit",
    ),
    "same caption": (
        lambda bot: bot.edit_message_caption(chat_id=ANN, message_id=3, caption="c"),
        NOT_MODIFIED,
    ),
    "long caption": (
        lambda bot: bot.send_video(ANN, media(), caption="x" * 1025),
        "message caption is too long",
    ),
    "delete gone": (lambda bot: bot.delete_message(ANN, 99), "message to delete not found"),
    "pin gone": (lambda bot: bot.pin_chat_message(ANN, 99), "message to pin not found"),
    "react gone": (react("👀", message_id=99), "message to react not found"),
    "react wrong": (react("🎬"), "REACTION_INVALID"),
    "react twice": (react("👀", "🎉"), "REACTIONS_TOO_MANY"),
    "old query": (
        lambda bot: bot.answer_callback_query("12345", "x"),
        "query is too old and response timeout expired or query ID is invalid",
    ),
    "action": (
        lambda bot: bot.send_chat_action(ANN, "dancing"),
        "wrong parameter action in request",
    ),
    "get file": (
        lambda bot: bot.get_file("BAAC"),
        "wrong file_id or the file is temporarily unavailable",
    ),
    "send file id": (
        lambda bot: bot.send_video(ANN, "BAAC"),
        "wrong file identifier/HTTP URL specified",
    ),
    "send url": (
        lambda bot: bot.send_video(ANN, "https://example.org/a.mp4"),
        "failed to get HTTP URL content",
    ),
    "send path": (
        lambda bot: bot.send_video(ANN, "file:///etc/passwd"),
        "invalid file HTTP URL specified: Unsupported URL protocol",
    ),
    "empty file": (
        lambda bot: bot.send_document(ANN, media(data=b"")),
        "file must be non-empty",
    ),
    "no photo": (lambda bot: bot.send_photo(ANN, media()), "IMAGE_PROCESS_FAILED"),
    "thin photo": (
        lambda bot: bot.send_photo(ANN, media("a.png", png(210, 10))),
        "PHOTO_INVALID_DIMENSIONS",
    ),
    "album of one": (
        lambda bot: bot.send_media_group(ANN, [InputMediaVideo(media=media())]),
        "too few messages to send as an album",
    ),
    "album of eleven": (
        lambda bot: bot.send_media_group(ANN, [InputMediaVideo(media="x")] * 11),
        "too many messages to send as an album",
    ),
    "mixed album": (
        lambda bot: bot.send_media_group(
            ANN, [InputMediaVideo(media="x"), InputMediaDocument(media="x")]
        ),
        "document can't be mixed with other media types",
    ),
    "command name": (lambda bot: bot.set_my_commands([command("Start")]), "BOT_COMMAND_INVALID"),
    "command text": (
        lambda bot: bot.set_my_commands([command("start", "")]),
        "BOT_COMMAND_DESCRIPTION_INVALID",
    ),
    "commands": (
        lambda bot: bot.set_my_commands([command(f"c{n}") for n in range(101)]),
        "BOT_COMMANDS_TOO_MUCH",
    ),
    "command scope": (
        lambda bot: bot.set_my_commands([command("x")], BotCommandScopeChat(chat_id=404)),
        "chat not found",
    ),
    "member": (lambda bot: bot.get_chat_member(ANN, 404), "PARTICIPANT_ID_INVALID"),
}


@pytest.fixture
async def cards(bot: Bot, ann: Person) -> None:
    go = InlineKeyboardButton(text="Go", callback_data="go")
    await bot.send_message(
        ann.id, "card", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[go]])
    )
    await bot.send_photo(ann.id, media("a.png", png(8, 8)), caption="c")


@pytest.mark.usefixtures("cards")
async def test_bad_requests_get_the_texts_of_telegram(bot: Bot, ann: Person) -> None:
    before = await ann.chat.messages()
    wrong: dict[str, str] = {}
    for name, (call, text) in REFUSALS.items():
        try:
            await call(bot)
        except TelegramBadRequest as error:
            if error.message != f"Bad Request: {text}":
                wrong[name] = error.message
        else:
            wrong[name] = "accepted"
    assert wrong == {}
    assert await ann.chat.messages() == before


async def test_longest_text_and_caption_and_data_are_accepted(bot: Bot, ann: Person) -> None:
    shown = f"<b>{'🎬' * 2048}</b>"
    sent = await bot.send_message(
        ann.id, shown, parse_mode="HTML", reply_markup=keyboard(callback_data="я" * 32)
    )
    assert len(sent.text) == 2048
    assert (await bot.send_video(ann.id, media(), caption="x" * 1024)).caption == "x" * 1024


async def test_wrong_token_unknown_method_and_unknown_file_path(
    sandbox: Sandbox, bot: Bot
) -> None:
    async with connect(sandbox.base_url, "1:wrong") as stranger:
        with pytest.raises(TelegramUnauthorizedError, match="Unauthorized"):
            await stranger.get_me()
    with pytest.raises(TelegramNotFound, match="Not Found"):
        await bot.session(bot, type("Odd", (GetMe,), {"__api_method__": "getOdd"})())
    async with aiohttp.ClientSession() as session:
        base = f"{sandbox.base_url}/file/bot{sandbox.token}"
        for path in ("videos/file_9.mp4", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"):
            async with session.get(f"{base}/{path}") as answer:
                assert answer.status == 404


async def test_file_over_20_mb_is_told_but_not_given(
    bot: Bot, ann: Person, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    sent = await ann.chat.send_video(clip, size=(20 << 20) + 1)
    assert (await bot.get_updates())[-1].message.video.file_size == (20 << 20) + 1
    with pytest.raises(TelegramBadRequest) as caught:
        await bot.get_file(sent.file["file_id"])
    assert caught.value.message == "Bad Request: file is too big"
    exact = await ann.chat.send_video(clip, size=20 << 20)
    assert (await bot.get_file(exact.file["file_id"])).file_path == "videos/file_1.mp4"


async def test_upload_over_the_limit_is_413_and_leaves_no_file(tmp_path: Path) -> None:
    async with (
        Sandbox(rules=Rules(max_upload_bytes=1 << 20), root=tmp_path) as sandbox,
        sandbox.driver() as driver,
        connect(sandbox.base_url) as bot,
    ):
        ann = await driver.person(ANN)
        await ann.chat.send_text("hi")
        with pytest.raises(TelegramEntityTooLarge, match="Request Entity Too Large"):
            await bot.send_document(ann.id, media(data=bytes((1 << 20) + 1)))
        await bot.send_document(ann.id, media(data=bytes(1 << 20)))
    sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
    assert sizes == [1 << 20]


async def test_old_messages_cannot_be_deleted_but_edited(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    card = await bot.send_message(ann.id, "card")
    await driver.advance(48 * 3600 + 1)
    with pytest.raises(TelegramBadRequest, match="message can't be deleted for everyone"):
        await card.delete()
    await card.edit_text("still editable")


async def test_press_can_be_answered_in_time_only(bot: Bot, driver: Driver, ann: Person) -> None:
    await bot.send_message(ann.id, "card", reply_markup=keyboard(callback_data="go"))
    card = await ann.chat.wait_for("card")
    press = await ann.chat.press(card, "Go")
    with pytest.raises(TelegramBadRequest, match="MESSAGE_TOO_LONG"):
        await bot.answer_callback_query(press.query_id, "x" * 201)
    await driver.advance(31)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_callback_query(press.query_id)


async def test_file_of_another_kind_is_no_video_and_group_messages_of_others_stay(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    sent = await bot.send_document(ann.id, media())
    with pytest.raises(TelegramBadRequest, match="can't use file of type Document as Video"):
        await bot.send_video(ann.id, sent.document.file_id)
    group_id = await driver.group(-5, "Films", [ann])
    said = await ann.enter(group_id).send_text("/mine")
    with pytest.raises(TelegramBadRequest, match="message can't be deleted"):
        await bot.delete_message(group_id, said.id)


async def test_driving_routes_refuse_what_no_app_offers(driver: Driver, ann: Person) -> None:
    with pytest.raises(RefusedError, match="nothing to send"):
        await ann.chat.send_text("  ")
    with pytest.raises(RefusedError, match="not in chat"):
        bob = await driver.person(8, "Bob")
        await bob.enter(ann.id).send_text("hi")
    with pytest.raises(RefusedError, match="malformed"):
        await driver.call("POST", "persons", json={"nickname": "x"})
    with pytest.raises(RefusedError, match="no such file"):
        await driver.fetch("nothing", Path("unused"))


async def test_every_refusal_is_in_the_log_of_calls(bot: Bot, driver: Driver, ann: Person) -> None:
    with pytest.raises(TelegramAPIError):
        await bot.send_message(404, "x")
    with pytest.raises(TelegramBadRequest, match="IMAGE_PROCESS_FAILED"):
        await bot.edit_message_media(
            InputMediaPhoto(media=media()),
            chat_id=ann.id,
            message_id=(await bot.send_message(ann.id, "x")).message_id,
        )
    refused = [call for call in await driver.calls() if call["code"] != 200]
    assert [(call["method"], call["chat_id"], call["description"]) for call in refused] == [
        ("sendMessage", 404, "Bad Request: chat not found"),
        ("editMessageMedia", ann.id, "Bad Request: IMAGE_PROCESS_FAILED"),
    ]


async def test_a_bot_that_dies_in_the_middle_of_an_upload_is_no_failure_of_the_server(
    sandbox: Sandbox, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = sandbox.base_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /bot{DEFAULT_TOKEN}/sendPhoto HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n7'.encode()
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    for _ in range(100):
        if await driver.calls("sendPhoto"):
            break
        await asyncio.sleep(0.02)
    assert len(await driver.calls("sendPhoto")) == 1
    assert "failed" not in caplog.text

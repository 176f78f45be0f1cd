"""What a card does in its life: text, picture, caption, buttons, and how it goes."""

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    BufferedInputFile,
    CopyTextButton,
    DisabledButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
)
from aiogram.utils.formatting import DateTime, ExpandableBlockQuote, as_list

from bot.sandbox import RefusedError, Rules, Sandbox

from .conftest import MP4, connect, png


def photo(name="frame.png", width=64, height=36):
    return BufferedInputFile(png(width, height), name)


def row(*buttons):
    return InlineKeyboardMarkup(inline_keyboard=[list(buttons)])


async def shown(ann):
    return (await ann.chat.messages())[-1]


async def test_a_text_card_turns_into_a_picture_with_a_caption_and_buttons(bot, ann):
    card = await bot.send_message(ann.id, "running", disable_notification=True)
    stop = InlineKeyboardButton(text="Cancel", callback_data="x", style="danger")
    media = InputMediaPhoto(media=photo(), caption="half")
    await bot.edit_message_media(
        media, chat_id=ann.id, message_id=card.message_id, reply_markup=row(stop)
    )
    now = await shown(ann)
    assert (now.id, now.media, now.text) == (card.message_id, "photo", "half")
    assert "text" not in now.raw
    assert now.button("Cancel").raw["style"] == "danger"
    later = as_list("more", DateTime("in 2 min", unix_time=1_900_000_000, date_time_format="r"))
    await bot.edit_message_caption(
        chat_id=ann.id,
        message_id=card.message_id,
        **later.as_kwargs(
            text_key="caption", entities_key="caption_entities", parse_mode_key="parse_mode"
        ),
    )
    now = await shown(ann)
    assert (now.media, now.text, now.buttons) == ("photo", "more\nin 2 min", [])
    assert now.raw["caption_entities"][0]["type"] == "date_time"
    with pytest.raises(TelegramBadRequest, match="no text in the message to edit"):
        await bot.edit_message_text("text", chat_id=ann.id, message_id=card.message_id)


async def test_media_may_become_other_media_but_not_nothing(bot, ann):
    card = await bot.send_photo(ann.id, photo(), caption="frame")
    target = {"chat_id": ann.id, "message_id": card.message_id}
    video = InputMediaVideo(media=BufferedInputFile(MP4, "clip.mp4"), width=32, height=18)
    await bot.edit_message_media(video, **target)
    assert (await shown(ann)).media == "video"
    file = InputMediaDocument(media=BufferedInputFile(MP4, "clip.mkv"), caption="file")
    await bot.edit_message_media(file, **target)
    assert ((await shown(ann)).media, (await shown(ann)).text) == ("document", "file")
    await bot.edit_message_caption(**target)
    assert (await shown(ann)).text == ""
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await bot.edit_message_caption(**target)
    with pytest.raises(TelegramBadRequest, match="wrong file identifier"):
        await bot.edit_message_media(InputMediaPhoto(media="AgACAgInothing"), **target)


async def test_a_caption_can_only_be_put_on_media(bot, ann):
    card = await bot.send_message(ann.id, "text")
    with pytest.raises(TelegramBadRequest, match="no caption in the message to edit"):
        await bot.edit_message_caption(chat_id=ann.id, message_id=card.message_id, caption="c")


async def test_buttons_are_exchanged_alone_and_go_when_none_are_named(bot, ann):
    go = InlineKeyboardButton(text="Go", callback_data="go", style="success")
    wait = InlineKeyboardButton(text="Cancelling…", disabled=DisabledButton())
    card = await bot.send_message(ann.id, "card", reply_markup=row(go))
    target = {"chat_id": ann.id, "message_id": card.message_id}
    await bot.edit_message_reply_markup(**target, reply_markup=row(wait))
    with pytest.raises(RefusedError, match="is disabled"):
        await ann.chat.press(await shown(ann), "Cancelling")
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await bot.edit_message_reply_markup(**target, reply_markup=row(wait))
    await bot.edit_message_reply_markup(**target)
    assert (await shown(ann)).buttons == []
    assert (await shown(ann)).text == "card"


async def test_a_button_that_is_disabled_cannot_do_anything_else(bot, ann):
    both = InlineKeyboardButton(text="Go", callback_data="go", disabled=DisabledButton())
    with pytest.raises(TelegramBadRequest, match="BUTTON_TYPE_INVALID"):
        await bot.send_message(ann.id, "card", reply_markup=row(both))
    copied = InlineKeyboardButton(text="Copy", copy_text=CopyTextButton(text="4f7k2a"))
    await bot.send_message(ann.id, "card", reply_markup=row(copied))
    with pytest.raises(RefusedError, match="sends nothing to the bot"):
        await ann.chat.press(await shown(ann), "Copy")


async def test_a_deleted_card_cannot_be_edited_nor_deleted_again(bot, ann):
    card = await bot.send_message(ann.id, "card")
    target = {"chat_id": ann.id, "message_id": card.message_id}
    assert await bot.delete_message(**target)
    for edit in (
        bot.edit_message_text("x", **target),
        bot.edit_message_caption(caption="x", **target),
        bot.edit_message_media(InputMediaPhoto(media=photo()), **target),
        bot.edit_message_reply_markup(**target),
    ):
        with pytest.raises(TelegramBadRequest, match="message to edit not found"):
            await edit
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await bot.delete_message(**target)


async def test_silence_is_kept_with_the_message(bot, driver, ann):
    await bot.send_message(ann.id, "quiet", disable_notification=True)
    await bot.send_message(ann.id, "loud")
    found = await driver.call("GET", "messages", params={"chat_id": ann.id})
    assert [each["silent"] for each in found["messages"][-2:]] == [True, False]


async def test_forwarding_keeps_the_file_and_who_sent_it_first(bot, driver, ann, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    bob = await driver.person(8, "Bob")
    group = await driver.group(-1009, "Films", [ann, bob])
    sent = await bob.enter(group).send_video(clip, "look", as_document=True)
    deed = {"chat_id": 7, "user_id": 7, "source_id": group, "message_id": sent.id}
    await driver.call("POST", "forward", json=deed)
    message = (await bot.get_updates())[-1].message
    assert message.document.file_id == sent.file["file_id"]
    assert (message.caption, message.from_user.id) == ("look", 7)
    assert message.forward_origin.sender_user.first_name == "Bob"
    again = {"chat_id": 7, "user_id": 7, "source_id": 7, "message_id": message.message_id}
    await driver.call("POST", "forward", json=again)
    message = (await bot.get_updates())[-1].message
    assert message.forward_origin.sender_user.first_name == "Bob"
    with pytest.raises(RefusedError, match="not in chat"):
        await driver.call("POST", "forward", json=deed | {"user_id": bob.id})


async def test_an_expandable_quote_and_a_time_survive_the_way(bot, ann):
    text = as_list(ExpandableBlockQuote("log"), DateTime("now", unix_time=1, date_time_format="r"))
    await bot.send_message(ann.id, **text.as_kwargs())
    kinds = [each["type"] for each in (await shown(ann)).raw["entities"]]
    assert kinds == ["expandable_blockquote", "date_time"]


async def test_message_ids_of_a_server_that_starts_anew_go_on_elsewhere(tmp_path):
    rules = Rules(first_message_id=5000)
    async with Sandbox(limited=False, rules=rules) as sandbox, sandbox.driver() as driver:
        ann = await driver.person(7, "Ann")
        assert (await ann.chat.send_text("hi")).id == 5000
        group = await driver.group(-1009, "Films", [ann])
        async with connect(sandbox.base_url) as bot:
            assert (await bot.send_message(group, "hi")).message_id == 5000
            with pytest.raises(TelegramBadRequest, match="message to edit not found"):
                await bot.edit_message_text("old", chat_id=7, message_id=3)

"""A person talks to a scripted bot in a real browser."""

import asyncio
import re

import pytest
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    CopyTextButton,
    DisabledButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    ReactionTypeEmoji,
    ReplyParameters,
    WebAppInfo,
)
from aiogram.utils.formatting import (
    BlockQuote,
    Bold,
    Code,
    DateTime,
    ExpandableBlockQuote,
    Spoiler,
    Text,
    TextLink,
    as_list,
)
from aiohttp import web

from tests.bot.sandbox.conftest import MP4, png

HOSTILE = '<img src=x onerror="alert(1)"><b>bold</b>'
DROP = """async ([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type: "video/mp4" }));
  const talk = document.getElementById("talk");
  for (const type of ["dragover", "drop"]) {
    const shared = { dataTransfer: data, bubbles: true, cancelable: true };
    talk.dispatchEvent(new DragEvent(type, shared));
  }
}"""


def key(text, **action):
    return InlineKeyboardButton(text=text, **action)


def rows(*keyboard):
    return InlineKeyboardMarkup(inline_keyboard=[list(row) for row in keyboard])


def row_of(page, message_id):
    return page.locator(f'article[data-id="{message_id}"]')


async def take_updates(bot, kind):
    """The next update of a kind, as a bot that polls gets it."""
    offset = None
    for _ in range(20):
        for update in await bot.get_updates(offset=offset, timeout=2):
            offset = update.update_id + 1
            if getattr(update, kind):
                await bot.get_updates(offset=offset, timeout=0)
                return getattr(update, kind)
    raise AssertionError(f"no {kind} came")


async def test_a_file_is_dropped_a_card_comes_and_a_press_changes_it(page, bot, ann):
    await bot.get_updates(offset=-1)
    await page.evaluate(DROP, [HOSTILE, "not a real video"])
    await page.get_by_label("Caption").fill("make it large")
    await page.get_by_role("button", name="Send").last.click()
    message = await take_updates(bot, "message")
    while not message.document:
        message = await take_updates(bot, "message")
    assert (message.document.file_name, message.caption) == (HOSTILE, "make it large")
    assert (await bot.download(message.document)).read() == b"not a real video"

    card = await bot.send_message(
        ann.id,
        **Text("Plan of ", Code(HOSTILE)).as_kwargs(),
        disable_notification=True,
        reply_parameters=ReplyParameters(message_id=message.message_id),
        reply_markup=rows(
            [key("Start", callback_data="go", style="success")],
            [key("Cancel", callback_data="no", style="danger"), key("More", callback_data="m")],
        ),
    )
    shown = row_of(page, card.message_id)
    start = shown.get_by_role("button", name="Start")
    await start.wait_for()
    assert HOSTILE in await shown.inner_text()
    assert await page.locator("article img").count() == 0
    assert await shown.get_by_label("Without sound").count() == 1
    assert "is-success" in await start.get_attribute("class")

    await start.click()
    query = await take_updates(bot, "callback_query")
    assert (query.data, query.from_user.id) == ("go", ann.id)
    assert await start.get_attribute("aria-busy") == "true"
    await bot.answer_callback_query(query.id, "Here we go!")
    await page.locator(".toast", has_text="Here we go!").wait_for()
    assert await start.get_attribute("aria-busy") is None
    waiting = rows([key("Cancelling…", disabled=DisabledButton())])
    await bot.edit_message_text(
        "running", chat_id=ann.id, message_id=card.message_id, reply_markup=waiting
    )
    await shown.get_by_text("running").wait_for()
    assert await shown.get_by_role("button", name="Cancelling…").is_disabled()
    await bot.set_message_reaction(ann.id, message.message_id, [ReactionTypeEmoji(emoji="👀")])
    await page.get_by_role("img", name="Reaction 👀").wait_for()


async def test_an_alert_wants_an_ok_and_a_refused_press_is_said(page, bot, ann):
    card = await bot.send_message(
        ann.id, "card", reply_markup=rows([key("Why", callback_data="why")])
    )
    why = row_of(page, card.message_id).get_by_role("button", name="Why")
    await why.click()
    query = await take_updates(bot, "callback_query")
    await bot.answer_callback_query(query.id, "It is over the budget.", show_alert=True)
    box = page.get_by_role("dialog")
    assert "over the budget" in await box.inner_text()
    await box.get_by_role("button", name="OK").click()
    await box.wait_for(state="detached")


async def test_entities_are_shown_as_what_they_are_and_nothing_runs(page, bot, ann):
    evil = "javascript:alert(1)"
    text = as_list(
        Text(Bold("bold 🎬"), " ", TextLink("site", url="https://example.org/a?b=1")),
        BlockQuote(HOSTILE),
        ExpandableBlockQuote("\n".join(f"line {n}" for n in range(9))),
        Text("Ready ", DateTime("soon", unix_time=1, date_time_format="r"), Spoiler("secret")),
        Text("https://example.org and /help and ", evil),
    )
    sent = await bot.send_message(ann.id, **text.as_kwargs())
    shown = row_of(page, sent.message_id)
    await shown.wait_for()
    assert await shown.locator("strong").inner_text() == "bold 🎬"
    hrefs = [await a.get_attribute("href") for a in await shown.locator("a").all()]
    assert hrefs == ["https://example.org/a?b=1", "https://example.org/"]
    assert await shown.locator("a").first.get_attribute("rel") == "noopener noreferrer"
    assert await shown.locator("blockquote").first.inner_text() == HOSTILE
    fold = shown.get_by_role("button", name="Show all")
    await fold.click()
    assert await shown.get_by_role("button", name="Show less").is_visible()
    assert re.fullmatch(r"[\d,]+ days ago", await shown.locator("time").inner_text())
    await shown.get_by_label("Hidden text: press to read").press("Enter")
    assert "secret" in await shown.inner_text()
    await shown.get_by_role("button", name="/help").click()
    assert (await take_updates(bot, "message")).text in {"/start", "/help"}


async def test_a_relative_time_ticks_by_itself_without_an_edit(page, driver, bot, ann):
    now = (await driver.state())["now"]
    text = Text("Ready ", DateTime("soon", unix_time=int(now) + 40, date_time_format="r"))
    sent = await bot.send_message(ann.id, **text.as_kwargs())
    moment = row_of(page, sent.message_id).locator("time")
    first = await moment.inner_text()
    assert re.fullmatch(r"in (39|40) seconds", first)
    edits = len(await driver.calls("editMessageText"))
    await page.wait_for_function("([node, old]) => node.textContent !== old", arg=[
        await moment.element_handle(), first,
    ])  # fmt: skip
    assert len(await driver.calls("editMessageText")) == edits


async def test_pictures_videos_and_files_are_shown_played_and_saved(page, bot, ann):
    card = await bot.send_message(ann.id, "soon")
    picture = InputMediaPhoto(media=BufferedInputFile(png(64, 36), "a.png"), caption="half")
    await bot.edit_message_media(picture, chat_id=ann.id, message_id=card.message_id)
    photo = row_of(page, card.message_id).get_by_role("img", name="half")
    await photo.wait_for()
    await page.wait_for_function("(image) => image.naturalWidth === 64", arg=(
        await photo.element_handle()
    ))  # fmt: skip
    file = await bot.send_document(ann.id, BufferedInputFile(MP4, "клип.mkv"), caption="file")
    link = row_of(page, file.message_id).get_by_role("link")
    async with page.expect_download() as download:
        await link.click()
    saved = await download.value
    assert saved.suggested_filename == "клип.mkv"
    assert (await saved.path()).read_bytes() == MP4


@pytest.fixture
async def app():
    """The address of somebody's Mini App, which closes itself when its button is pressed."""

    async def serve(request):
        script = "parent.postMessage(JSON.stringify({eventType: 'web_app_close'}), '*')"
        body = f'<button onclick="{script}">Done</button>'
        return web.Response(text=body, content_type="text/html")

    pages = web.Application()
    pages.router.add_get("/upload", serve)
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/upload"
    await runner.cleanup()


async def test_links_apps_and_copies_are_opened_as_their_buttons_say(page, bot, ann, app):
    link = "https://t.me/noxfvr_sandbox_bot?start=job_1"
    sent = await bot.send_message(
        ann.id,
        "what now",
        reply_markup=rows(
            [key("Open", url="https://example.org/x"), key("Job", url=link)],
            [key("Upload", web_app=WebAppInfo(url=app))],
            [key("Copy", copy_text=CopyTextButton(text="4f7k2a"))],
        ),
    )
    shown = row_of(page, sent.message_id)
    opened = shown.get_by_role("link", name="Open")
    assert await opened.get_attribute("href") == "https://example.org/x"
    assert await opened.get_attribute("target") == "_blank"
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await shown.get_by_role("button", name="Copy").click()
    await page.locator(".toast").wait_for()
    assert await page.evaluate("navigator.clipboard.readText()") == "4f7k2a"
    await shown.get_by_role("button", name="Upload").click()
    frame = page.locator("dialog iframe")
    assert (await frame.get_attribute("src")).startswith(f"{app}#tgWebAppData=")
    await page.frame_locator("dialog iframe").get_by_role("button", name="Done").click()
    await frame.wait_for(state="detached")
    await shown.get_by_role("button", name="Job").click()
    await ann.chat.wait_until(lambda ms: [m for m in ms if m.text == "/start job_1"])


async def test_commands_replies_edits_and_deletions_work_by_keyboard(page, bot, ann):
    await bot.set_my_commands([BotCommand(command="status", description="What is done")])
    field = page.get_by_label("Message", exact=True)
    await field.fill("/")
    await page.get_by_role("option", name="/status").wait_for()
    await field.press("ArrowDown")
    await field.press("Enter")
    (said,) = await ann.chat.wait_until(lambda ms: [m for m in ms if m.text == "/status"])
    menu = row_of(page, said.id).get_by_role("button", name="What to do with this message")
    await menu.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("menuitem", name="Reply").press("Enter")
    await field.fill("this one\nor that")
    await field.press("Enter")
    (reply,) = await ann.chat.wait_until(lambda ms: [m for m in ms if m.reply_to_id == said.id])
    assert reply.text == "this one\nor that"
    await menu.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("menuitem", name="Delete").click()
    await row_of(page, said.id).wait_for(state="detached")
    assert said.id not in {m.id for m in await ann.chat.messages()}


async def test_one_becomes_somebody_else_and_the_page_speaks_their_language(page, driver, ann):
    bob = await driver.person(8, "Борис", language_code="ru")
    await driver.group(-1009, "Films", {ann: "creator", bob: "member"})
    await page.reload()
    await page.get_by_label("You are").select_option("Борис")
    await page.get_by_role("button", name="Начать").click()
    await bob.chat.wait_until(lambda ms: [m for m in ms if m.text == "/start"])
    await page.get_by_role("button", name="Films").click()
    field = page.get_by_label("Сообщение", exact=True)
    await field.fill("всем привет")
    await field.press("Enter")
    await page.locator("article", has_text="всем привет").wait_for()
    assert await page.locator("html").get_attribute("lang") == "ru"


@pytest.mark.slow
async def test_blocking_the_bot_stops_the_talk_until_it_is_let_in_again(page, bot, ann):
    await page.get_by_role("button", name="This chat").click()
    await page.get_by_role("menuitem", name="Block the bot").click()
    again = page.get_by_role("button", name="Unblock the bot")
    await again.wait_for()
    assert not await page.get_by_label("Message", exact=True).is_visible()
    await again.click()
    await page.get_by_label("Message", exact=True).wait_for()


@pytest.mark.slow
async def test_several_files_by_the_button_are_an_album(page, bot, ann, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(MP4)
    await page.locator("#files").set_input_files([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    await page.get_by_role("button", name="Send").last.click()
    found = await ann.chat.wait_until(
        lambda ms: [m for m in ms if m.media == "document"][1:] and ms[-2:]
    )
    assert len({message.raw["media_group_id"] for message in found}) == 1
    assert [message.file["file_name"] for message in found] == ["a.mp4", "b.mp4"]


async def test_the_page_polls_without_hurry_and_says_when_the_bot_is_gone(page, sandbox):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await asyncio.sleep(0.6)
    assert len(asked) <= 1
    sandbox.end("The bot ended with 1; see /data/bot.log")
    banner = page.get_by_role("alert")
    await banner.wait_for()
    assert await banner.inner_text() == "The bot ended with 1; see /data/bot.log"


async def test_nothing_is_wider_than_the_window(page, bot, ann):
    await bot.send_message(
        ann.id,
        "wide" * 200,
        reply_markup=rows([key("a very long button " * 3, callback_data="x")] * 3),
    )
    await page.locator("article", has_text="widewide").wait_for()
    beyond = "(name => (n => n.scrollWidth - n.clientWidth)(document.querySelector(name)))"
    for width in (360, 1000):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert await page.evaluate(beyond, ".log") == 0

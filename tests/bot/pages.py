"""Taps buttons of pages by what is written on them, as people do."""

from tests.bot.stage import ADMIN, buttons


def newest_message(stage, chat):
    """The number of the last message of a chat that was sent by the bot."""
    return max(number for where, number in stage.session.screen if where == chat)


def shown(stage, chat=ADMIN):
    """What the last message of a chat shows now."""
    return stage.session.screen[chat, newest_message(stage, chat)]


def text_of(method):
    return method.text if getattr(method, "text", None) else method.caption


def labels(stage, chat=ADMIN):
    return buttons(shown(stage, chat))


def find_data(stage, label, chat=ADMIN):
    """What the first button carries whose label has this in it."""
    rows = shown(stage, chat).reply_markup.inline_keyboard
    (data, *_) = [each.callback_data for row in rows for each in row if label in each.text]
    return data


async def press(stage, data, user=ADMIN, *, chat=None, message=None):
    """Press something in the newest message of a chat; the answer that was shown."""
    where = chat or user
    number = message or newest_message(stage, where)
    await stage.feed(stage.press(data, user, message=number, chat=where))
    return stage.session.named("answerCallbackQuery")[-1]


async def tap(stage, label, user=ADMIN, *, chat=None):
    """Press the button that says this."""
    data = find_data(stage, label, chat or user)
    return await press(stage, data, user, chat=chat)

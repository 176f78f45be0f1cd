"""Presses buttons of cards by what is written on them, and reads what is answered."""

from tests.bot.stage import USER, buttons


def find_button(method, label):
    """The first button whose label has this in it."""
    rows = method.reply_markup.inline_keyboard
    return next(each for row in rows for each in row if label in each.text)


async def tap_on(stage, message, label, user=USER, *, chat=None, number=1000):
    """Press a button of a message; the answer that was shown."""
    data = find_button(message, label).callback_data
    await stage.feed(stage.press(data, user, chat=chat, message=number))
    return last_toast(stage)


async def tap_card(stage, job, label, user=USER):
    """Press a button of a job's card as soon as it is there; the answer that was shown."""
    card = stage.house.controller.card
    await stage.until(lambda: card(job.id) and card(job.id).message)
    await stage.until(lambda: any(label in each for each in buttons(stage.card_of(job))))
    where = card(job.id)
    return await tap_on(
        stage, stage.card_of(job), label, user, chat=where.chat, number=where.message
    )


async def press_data(stage, data, user=USER):
    """Press data that may be made up; the answer that was shown."""
    await stage.feed(stage.press(data, user))
    return last_toast(stage)


def last_toast(stage):
    return stage.session.named("answerCallbackQuery")[-1].text

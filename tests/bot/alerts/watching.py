"""Lets trouble be found, and looks at what the chats of admins show then."""

import asyncio

from tests.bot.stage import ADMIN

SECOND = 9
FULL, EMPTY = 10**9, 10**11


async def look(stage):
    """A quarter of a minute later the loop looks, and the bot has shown what there is to show."""
    stage.house.clock.advance(15)
    # the notifier's own loop goes by another clock
    stage.house.context.vitals.beat("loop:notifier")
    await stage.house.alarm.tick()
    stage.house.controller.move_cursor("notifier", stage.house.controller.newest_event())
    await settle(stage)


async def settle(stage):
    """The notifier looks every five seconds, or as soon as there is an event."""
    stage.notifier._alarms.show(stage.notifier.poke)
    count = -1
    while count != len(stage.session.calls):
        count = len(stage.session.calls)
        await asyncio.sleep(0.03)


def sends(stage, chat=ADMIN):
    return [each for each in stage.session.named("sendMessage") if each.chat_id == chat]


def audible(stage, chat=ADMIN):
    return [each for each in sends(stage, chat) if not each.disable_notification]


def card(stage, chat=ADMIN):
    return stage.house.controller.card(f"alerts:{chat}")


def text(stage, chat=ADMIN):
    found = card(stage, chat)
    return stage.session.screen[chat, found.message].text

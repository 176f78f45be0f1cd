"""Several files at once on the stage: updates that lie in the inbox before any is handled."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

from bot.cards.callbacks import BatchPress
from bot.feed.inbox import Inbox, Limits
from tests.bot.stage import USER, make_video
from tests.controller.conftest import video

FOLDER = "input/c1"


async def put(stage, *names, folder=FOLDER, **changes):
    """Videos in storage; the same name makes the same content."""
    for number, name in enumerate(names):
        await stage.house.storage.write(f"{folder}/{name}", video(bytes=1000 + number, **changes))


def deliver(stage, *raws):
    """As the poller does: all of them are rows before one is handled."""
    stage.house.controller.inbox_add([(raw["update_id"], json.dumps(raw)) for raw in raws])


def album(stage, *names, group="g1", user=USER, **more):
    content = {"media_group_id": group} if group else {}
    return [stage.message(user, video=make_video(name), **content, **more) for name in names]


@asynccontextmanager
async def handling(stage):
    """Inbox and notifier run while the context is open."""

    async def give_up(update):
        raise AssertionError(f"update {update.update_id} was given up")

    inbox = Inbox(
        stage.bot, stage.dispatcher, stage.house.controller, give_up, Limits(drain_s=0.05)
    )
    async with stage.showing():
        running = asyncio.create_task(inbox.run())
        try:
            yield inbox
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def batch_card(stage):
    """What the one batch card shows; None while it is not sent."""
    cards = [each for each in all_cards(stage) if each.subject.startswith("batch:")]
    assert len(cards) <= 1
    if not cards or cards[0].message is None:
        return None
    return stage.session.screen.get((cards[0].chat, cards[0].message))


def all_cards(stage):
    controller = stage.house.controller
    return [*controller.cards(finished=False), *controller.cards(finished=True)]


def the_batch(stage):
    (card,) = [each for each in all_cards(stage) if each.subject.startswith("batch:")]
    return stage.house.controller.batches.require(card.subject.partition(":")[2])


def shows(stage, *texts):
    """A condition: the batch card has all these texts."""

    def look():
        card = batch_card(stage)
        return card is not None and all(text in card.text for text in texts)

    return look


async def press(stage, act, user=USER, value=""):
    data = BatchPress(act=act, batch=the_batch(stage).id, value=value).pack()
    await stage.feed(stage.press(data, user))


def last_toast(stage):
    return stage.session.named("answerCallbackQuery")[-1].text

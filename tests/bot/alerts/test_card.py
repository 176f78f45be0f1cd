"""One card of all that is wrong: it rings once, follows silently and says when all is well."""

import asyncio
import contextlib
import dataclasses

from controller.alarms import RING_S
from controller.gauges import SPARED
from controller.records import TERMINAL, Role
from tests.bot.alerts.watching import EMPTY, FULL, SECOND, audible, card, look, sends, settle, text
from tests.bot.stage import ADMIN, FAST, OTHER, USER, Stage, buttons
from tests.bot.virtual_time import run_virtual


async def test_one_card_rings_once_follows_silently_and_says_when_it_is_mended(stage, disk):
    async with stage.showing():
        await look(stage)
        assert not sends(stage)
        disk["free"] = FULL
        await look(stage)
        assert len(audible(stage)) == 1
        first = text(stage)
        assert first.startswith("⚠️ Something is wrong\n")
        assert "The disk is filling up: 1 GB free" in first
        disk["free"] = FULL - 200_000_000
        await look(stage)
        assert "800 MB free" in text(stage)
        disk["free"] = EMPTY
        stage.house.clock.advance(725 - 30)
        await look(stage)
        assert text(stage).startswith("✅ All is well again\n✅ Over after 12 min 5 s: ")
        await stage.until(lambda: card(stage).finished)
    assert len(sends(stage)) == 1
    assert not buttons(stage.session.screen[ADMIN, card(stage).message])
    assert not sends(stage, USER)


async def test_nothing_is_sent_where_nothing_has_changed(stage, disk):
    disk["free"] = FULL
    async with stage.showing():
        for _ in range(5):
            stage.house.clock.advance(60)
            await look(stage)
    assert len(sends(stage)) == 1
    assert not stage.session.named("editMessageText")


async def test_something_new_takes_the_place_of_the_card_audibly(stage, disk):
    async with stage.showing():
        disk["free"] = FULL
        await look(stage)
        before = card(stage).message
        stage.house.context.vitals.note(SPARED, 7)
        stage.house.clock.advance(15)
        await look(stage)
        (deleted,) = stage.session.named("deleteMessage")
        assert (deleted.chat_id, deleted.message_id) == (ADMIN, before)
        assert len(audible(stage)) == 2
        assert text(stage).startswith("🚨 2 things are wrong\n")
        # one of them is over: no sound, and the card stays
        stage.house.context.vitals.note(SPARED, 0)
        await look(stage)
        assert text(stage).startswith("⚠️ Something is wrong\n")
    assert len(sends(stage)) == 2


async def test_what_gets_worse_rings_again(stage, disk):
    async with stage.showing():
        for free in (FULL, 10**8, 10**8, FULL, 10**8):
            disk["free"] = free
            stage.house.clock.advance(60)
            await look(stage)
    assert len(audible(stage)) == 2
    assert "The disk is full" in text(stage)


async def test_flapping_rings_once_an_hour_and_edits_the_same_message_between(stage, disk):
    async with stage.showing():
        for _ in range(10):
            for free in (FULL, EMPTY):
                disk["free"] = free
                stage.house.clock.advance(60)
                await look(stage)
                await stage.until(lambda: card(stage).finished == (disk["free"] == EMPTY))
        assert (len(sends(stage)), len(audible(stage))) == (1, 1)
        disk["free"] = FULL
        await look(stage)
        assert text(stage).startswith("⚠️")
        assert len(sends(stage)) == 1
        # it stays this time
        stage.house.clock.advance(RING_S)
        await look(stage)
        assert (len(sends(stage)), len(audible(stage))) == (2, 2)


async def test_a_restart_repeats_nothing_and_forgets_nothing(stage, disk):
    disk["free"] = FULL
    async with stage.showing():
        await look(stage)
    before = text(stage)
    for _ in range(3):
        stage.restart()
        stage.house.clock.advance(30)
        async with stage.showing():
            await look(stage)
    assert len(sends(stage)) == 1
    assert not stage.session.named("editMessageText")
    assert text(stage) == before
    # it is mended while nobody runs
    disk["free"] = EMPTY
    stage.restart()
    async with stage.showing():
        await look(stage)
        await stage.until(lambda: card(stage).finished)
    assert text(stage).startswith("✅")
    assert len(sends(stage)) == 1


async def test_a_trouble_of_another_day_gets_a_card_of_its_own(stage, disk):
    async with stage.showing():
        for _ in range(2):
            disk["free"] = FULL
            await look(stage)
            disk["free"] = EMPTY
            stage.house.clock.advance(60)
            await look(stage)
            await stage.until(lambda: card(stage).finished)
            stage.house.clock.advance(86400)
    assert len(audible(stage)) == 2
    assert not stage.session.named("deleteMessage")
    texts = [each.text for (chat, _), each in stage.session.screen.items() if chat == ADMIN]
    assert len(texts) == 2
    assert all(each.startswith("✅") for each in texts)


async def test_every_admin_has_a_card_and_whoever_is_one_no_more_has_none(stage, disk):
    stage.house.controller.people.set_role(SECOND, Role.ADMIN, by=TERMINAL)
    stage.house.controller.set_preference(SECOND, "language", "ru")
    disk["free"] = FULL
    async with stage.showing():
        await look(stage)
        await stage.until(lambda: sends(stage, SECOND))
        assert text(stage, SECOND).startswith("⚠️ Не в порядке: 1\n")
        stage.house.controller.people.set_role(SECOND, Role.USER, by=TERMINAL)
        stage.house.controller.people.set_role(OTHER, Role.ADMIN, by=TERMINAL)
        disk["free"] = FULL - 300_000_000
        await look(stage)
        await stage.until(lambda: sends(stage, OTHER))
        await settle(stage)
    edited = {each.chat_id for each in stage.session.named("editMessageText")}
    assert edited == {ADMIN}


def test_troubles_in_virtual_time(house, bot_settings, disk):
    """The real waits of the notifier: it finds out by itself, within seconds."""
    pace = dataclasses.replace(FAST, private=None)
    stage = Stage(house, bot_settings, pace=pace)

    async def run(loop):
        house.clock.now = 1_800_000_000.0
        showing = asyncio.create_task(stage.notifier.run(stage.bot))
        delays = []

        async def live(seconds):
            for _ in range(int(seconds) // 60):
                await asyncio.sleep(60)
                house.clock.advance(60)
                await house.alarm.tick()

        for _ in range(3):
            disk["free"], count = FULL, len(stage.session.calls)
            await live(60)
            found_at = loop.time()
            while len(stage.session.calls) == count:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            delays.append(loop.time() - found_at)
            await live(120)
            disk["free"] = EMPTY
            await live(120)
            house.clock.advance(RING_S)
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        return delays

    delays = run_virtual(run)
    assert len(delays) == 3
    assert max(delays) <= 6
    assert len(audible(stage)) == 3
    texts = [each.text for each in stage.session.screen.values()]
    assert len(texts) == 3
    assert all(each.startswith("✅") for each in texts)

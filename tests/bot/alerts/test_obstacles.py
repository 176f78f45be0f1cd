"""Chats, Telegram and the database stand in the way of a card, and no alert is lost."""

import asyncio
import dataclasses

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError

from bot.screen.board import Shown
from controller.errors import DatabaseFull
from controller.gauges import SPARED
from controller.records import TERMINAL, Actor, Role
from tests.bot.alerts.watching import FULL, SECOND, audible, card, look, sends, settle, text
from tests.bot.stage import ADMIN, FAST, USER, Stage
from tests.controller.test_backups_full import no_room

BLOCKED = TelegramForbiddenError(method=None, message="Forbidden: bot was blocked by the user")
NEVER_STARTED = TelegramBadRequest(method=None, message="Bad Request: chat not found")
GONE = TelegramBadRequest(method=None, message="Bad Request: message to edit not found")
OUTAGE = TelegramNetworkError(method=None, message="down")


@pytest.mark.parametrize("fault", [BLOCKED, NEVER_STARTED])
async def test_a_closed_chat_breaks_nothing_and_is_told_when_it_opens(stage, disk, fault):
    stage.house.controller.people.set_role(SECOND, Role.ADMIN, by=TERMINAL)

    async def refuse(method):
        stage.session.faults["sendMessage"].append(refuse)
        return fault if method.chat_id == SECOND else None

    stage.session.faults["sendMessage"].append(refuse)
    disk["free"] = FULL
    async with stage.showing():
        await look(stage)
        await stage.until(lambda: len(sends(stage, SECOND)) == 1)
        await stage.until(lambda: card(stage).message)
        for free in (FULL - 200_000_000, FULL):
            disk["free"] = free
            await look(stage)
        assert len(sends(stage, SECOND)) == 1
        stage.session.faults["sendMessage"].clear()
        await stage.say(SECOND, text="/help", language="en")
        await stage.until(lambda: card(stage, SECOND).message)
        assert "The disk is filling up" in text(stage, SECOND)
    told = [each for each in audible(stage, SECOND) if "The disk" in each.text]
    assert len(told) == 2  # the first one did not arrive


async def test_an_outage_delays_and_loses_nothing(stage, disk):
    stage.session.faults["sendMessage"].extend([OUTAGE] * 3)
    disk["free"] = FULL
    async with stage.showing():
        await look(stage)
        await stage.until(lambda: card(stage) and card(stage).message)
    assert len(audible(stage)) == 4
    assert "The disk is filling up" in text(stage)


async def test_a_card_that_was_deleted_comes_back_without_a_sound(stage, disk):
    async with stage.showing():
        disk["free"] = FULL
        await look(stage)
        stage.session.faults["editMessageText"].append(GONE)
        disk["free"] = FULL - 200_000_000
        await look(stage)
        await stage.until(lambda: len(sends(stage)) == 2)
        assert len(audible(stage)) == 1
        # the second time it stays away, until there is something new
        stage.session.faults["editMessageText"].append(GONE)
        disk["free"] = FULL
        await look(stage)
        await settle(stage)
        assert len(sends(stage)) == 2
        stage.house.context.vitals.note(SPARED, 7)
        await look(stage)
        await stage.until(lambda: len(audible(stage)) == 2)


async def test_an_old_card_that_cannot_be_deleted_stays(stage, disk):
    stage.session.faults["deleteMessage"].append(OUTAGE)
    async with stage.showing():
        disk["free"] = FULL
        await look(stage)
        stage.house.context.vitals.note(SPARED, 7)
        await look(stage)
        await stage.until(lambda: len(audible(stage)) == 2)
    assert Shown.read(card(stage).shown).rung


async def test_a_full_database_only_delays_the_card(stage, disk, monkeypatch):
    """A new card needs a row: it is made as soon as there is room."""
    save, full = stage.house.controller.save_card, []

    def save_card(card):
        if full:
            raise DatabaseFull("no room")
        save(card)

    monkeypatch.setattr(stage.house.controller, "save_card", save_card)
    disk["free"] = 10**8
    await stage.house.alarm.tick()
    full.append(True)
    async with stage.showing():
        await asyncio.sleep(0.05)
        assert not sends(stage)
        full.clear()
        await stage.until(lambda: audible(stage), limit_s=10)
        await stage.until(lambda: "The disk is full" in text(stage))


async def test_a_card_of_alerts_that_cannot_be_made_holds_nothing_else_back(
    house, bot_settings, disk
):
    # no card is looked at anew but for its events
    rare = dataclasses.replace(FAST, steps=((1e12, 1e6),), slowest_s=1e6)
    stage = Stage(house, bot_settings, pace=rare)
    async with stage.showing():
        job = await stage.plan()
        await stage.until(lambda: house.controller.card(job.id).message)
        await settle(stage)
        # what happened just before the disk was full
        disk["free"] = 10**8
        await house.alarm.tick()
        house.controller.cancel(job.id, by=Actor(USER))
        with no_room(house):
            await stage.until(stage.shows(job, "Отменено"), limit_s=3)
            assert not sends(stage)
        await stage.until(lambda: audible(stage), limit_s=10)


async def test_an_admin_whose_card_cannot_be_made_keeps_no_other_from_theirs(
    stage, disk, monkeypatch
):
    house = stage.house
    house.controller.people.set_role(SECOND, Role.ADMIN, by=TERMINAL)
    save = house.controller.save_card

    def save_card(card):
        if card.chat == ADMIN:
            raise DatabaseFull("no room")
        save(card)

    monkeypatch.setattr(house.controller, "save_card", save_card)
    assert ADMIN < SECOND  # whose turn comes later
    disk["free"] = FULL
    await house.alarm.tick()
    async with stage.showing():
        await stage.until(lambda: audible(stage, SECOND))
        assert not sends(stage)


async def test_what_cannot_be_read_for_a_while_ends_no_notifier(stage, disk, monkeypatch):
    memory, read = stage.house.controller, stage.house.controller.events_after
    broken = []

    def events_after(*args):
        if broken:
            raise DatabaseFull("nothing can be read from noxfvr.db: disk I/O error")
        return read(*args)

    monkeypatch.setattr(memory, "events_after", events_after)
    async with stage.showing():
        broken.append(True)
        job = await stage.plan()
        await asyncio.sleep(0.05)
        broken.clear()
        await stage.until(lambda: memory.card(job.id).message, limit_s=10)
        memory.cancel(job.id, by=Actor(USER))
        await stage.until(stage.shows(job, "Отменено"), limit_s=10)

import asyncio
import contextlib
import dataclasses
import shutil
from collections import namedtuple

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError

from bot.alarm_texts import advise, describe_alarm
from bot.cards.alerts import AlertsSnapshot, draw_alerts
from bot.screen.board import Shown
from bot.terminal.batch import Batch
from bot.terminal.doctor import find_alarms
from bot.terminal.sources import Source
from bot.texts import LANGUAGES
from controller.alarms import RING_S, Alarm
from controller.alerts import AlertKind, Severity, find_alerts
from controller.errors import DatabaseFull
from controller.gauges import BACKUP_FAILURES, SPARED
from controller.records import TERMINAL, Actor, Role
from tests.bot.pages import labels, press, shown, tap
from tests.bot.stage import ADMIN, FAST, OTHER, USER, Stage, buttons
from tests.bot.virtual_time import run_virtual
from tests.controller.test_alerts import EDGES, NOW, SETTINGS
from tests.controller.test_backups_full import no_room

BLOCKED = TelegramForbiddenError(method=None, message="Forbidden: bot was blocked by the user")
NEVER_STARTED = TelegramBadRequest(method=None, message="Bad Request: chat not found")
GONE = TelegramBadRequest(method=None, message="Bad Request: message to edit not found")
OUTAGE = TelegramNetworkError(method=None, message="down")
SECOND = 9
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disk(monkeypatch):
    """How much is free; nearly nothing is the trouble that these tests make."""
    found = {"free": 10**11}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, found["free"]))
    return found


@pytest.fixture
def stage(house, bot_settings, disk):
    return Stage(house, bot_settings)


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


# --- the whole way ---------------------------------------------------------------------------


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


# --- words and buttons -----------------------------------------------------------------------


def all_alarms():
    for _, _, readings, severity in EDGES:
        (alert,) = find_alerts(readings, SETTINGS, NOW)
        yield Alarm(
            kind=alert.kind, severity=severity, since=alert.since, figures=alert.figures,
            opened_at=NOW, worse_at=NOW, rung_at=NOW, rung_severity=severity,
        )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alert_says_what_it_is_what_it_means_and_what_to_do(texts, language):
    tongue = texts[language]
    for alarm in all_alarms():
        for count in (1, 2, 5, 21):
            figures = {**alarm.figures, "count": count}
            each = dataclasses.replace(alarm, figures=figures)
            assert describe_alarm(each, tongue)
            assert len(advise(each, tongue)) > 40
    database = [each for each in all_alarms() if each.kind is AlertKind.DATABASE]
    assert len({describe_alarm(each, tongue) for each in database}) == 2  # written, read
    renamed = next(each for each in all_alarms() if each.kind is AlertKind.RESTORED)
    for why in ("asked", "damaged", "journal", "copied"):
        figures = {"why": why, "as_of": NOW, "deployment": "abcd1234"}
        each = dataclasses.replace(renamed, figures=figures)
        assert "2027-01-15 08:00 UTC" in describe_alarm(each, tongue)
        assert "--deployment abcd1234" in advise(each, tongue)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_can_be_wrong_at_once_fits_into_a_message(texts, language):
    alarms = {each.kind: each for each in all_alarms()}
    view = draw_alerts(AlertsSnapshot(alarms=list(alarms.values()), rents=True), texts[language])
    assert len(alarms) == len(AlertKind)
    assert len(view.text) <= 4096
    assert view.keyboard is not None
    over = [dataclasses.replace(each, ended_at=NOW + 60) for each in alarms.values()]
    view = draw_alerts(AlertsSnapshot(alarms=over, rents=True), texts[language])
    assert len(view.text) <= 4096


def test_the_words_of_a_card_do_not_change_with_time_alone(texts):
    alarms = list(all_alarms())
    one = draw_alerts(AlertsSnapshot(alarms=alarms, rents=True), texts["ru"])
    two = draw_alerts(AlertsSnapshot(alarms=alarms, rents=True), texts["ru"])
    assert one.fingerprint == two.fingerprint


async def test_buttons_open_pages_below_and_leave_the_card(stage, disk):
    disk["free"] = FULL
    stage.house.context.vitals.note(SPARED, 7)
    async with stage.showing():
        await look(stage)
        before, number = text(stage), card(stage).message
        assert labels(stage) == ["Machines", "Whether all is well"]
        await tap(stage, "Machines")
        assert stage.session.screen[ADMIN, number].text == before
        assert shown(stage).text == stage.dispatcher["texts"]["ru"]("status-machines-none")
        data = "al:h"
        await press(stage, data, message=number)
        assert stage.session.screen[ADMIN, number].text == before
        (*_, health) = sends(stage)
        assert health.text.startswith("⚠️")
        answer = await press(stage, data, OTHER, message=number)
        assert answer.show_alert


# --- the same elsewhere ----------------------------------------------------------------------


async def test_health_shows_the_same_alerts_and_none_twice(stage, disk):
    disk["free"] = FULL
    vitals = stage.house.context.vitals
    vitals.beat("start")
    for name in ("loop:reap", "loop:place"):
        vitals.beat(name)
    stage.house.clock.advance(1000)
    vitals.beat("listing")
    vitals.beat("loop:place")
    await stage.say(ADMIN, text="/health", language="en")
    told = shown(stage).text
    assert told.startswith("⚠️ 2 troubles\n")
    assert "⚠️ A part of me stands still: reap" in told
    assert "⚠️ The disk is filling up: 1 GB free" in told
    assert "has not worked for long" not in told


async def test_the_doctor_shows_the_same_alerts(stage, disk, monkeypatch):
    disk["free"] = 10**8
    house = stage.house
    house.change(backup_s=21600.0)
    house.context.vitals.count(BACKUP_FAILURES)
    await house.alarm.tick()
    monkeypatch.setattr("controller.errands.time.time", house.clock)
    found = {each.name: each for each in find_alarms(house.settings)}
    assert found["alert disk"].level == "fail"
    assert "The disk is full: 100 MB free" in found["alert disk"].detail
    # the loops of another process found it, and this one cannot tell
    assert found["alert backup"].level == "warn"
    house.clock.advance(1000)
    found = {each.name: each for each in find_alarms(house.settings)}
    assert "alert backup" not in found
    nowhere = dataclasses.replace(house.settings, data_dir=house.settings.data_dir / "none")
    assert find_alarms(nowhere) == []
    assert not nowhere.database.exists()


class Reporter:
    def __init__(self):
        self.lines = []

    def say(self, tag, line):
        self.lines.append(f"[{tag}] {line}")

    def warn(self, line):
        self.lines.append(f"[WARN] {line}")


async def test_a_batch_warns_once_of_each_trouble_and_again_where_it_gets_worse(
    stage, disk, texts
):
    house, reporter = stage.house, Reporter()
    batch = Batch(house.controller, reporter, texts["en"])
    job = await house.queued()
    batch.add_job(Source(shown="clip.mp4", name="clip.mp4", path=None), job)
    for free in (EMPTY, FULL, FULL, 10**8, 10**8, EMPTY):
        disk["free"] = free
        house.clock.advance(15)
        await house.alarm.tick()
        await batch._look()
    assert reporter.lines == [
        "[WARN] The disk is filling up: 1 GB free", "[WARN] The disk is full: 100 MB free",
    ]  # fmt: skip


async def test_a_batch_does_not_warn_of_what_a_former_life_left_behind(stage, disk, texts):
    house = stage.house
    disk["free"] = FULL
    await house.alarm.tick()
    # as after kill -9, a while ago; the rows say that it stands
    disk["free"] = EMPTY
    house.restart()
    reporter = Reporter()
    batch = Batch(house.controller, reporter, texts["en"])
    house.controller.reconciles = True
    house.clock.advance(60)
    await batch._look()
    await house.alarm.tick()
    await batch._look()
    assert reporter.lines == []
    disk["free"] = FULL
    await house.alarm.tick()
    await batch._look()
    assert reporter.lines == ["[WARN] The disk is filling up: 1 GB free"]


async def test_a_batch_beside_another_process_believes_what_that_found_lately(stage, disk, texts):
    house, reporter = stage.house, Reporter()
    disk["free"] = FULL
    await house.alarm.tick()
    house.restart()
    batch = Batch(house.controller, reporter, texts["en"])
    house.controller.reconciles = False
    house.clock.advance(3600)
    await batch._look()
    assert reporter.lines == []  # whoever ran the loops then is gone too
    await house.alarm.tick()
    await batch._look()
    assert len(reporter.lines) == 1


def test_severities_are_ordered():
    assert Severity.WARNING.rank < Severity.CRITICAL.rank


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

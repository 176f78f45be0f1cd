"""What an alert says: on its card, in /health, from the doctor, in a batch."""

import dataclasses

import pytest

from bot.alarm_texts import advise, describe_alarm
from bot.cards.alerts import AlertsSnapshot, draw_alerts
from bot.terminal.batch import Batch
from bot.terminal.doctor import find_alarms
from bot.terminal.sources import Source
from bot.texts import LANGUAGES
from controller.alarms import Alarm
from controller.alerts import AlertKind, Severity, find_alerts
from controller.gauges import BACKUP_FAILURES, SPARED
from tests.bot.alerts.watching import EMPTY, FULL, card, look, sends, text
from tests.bot.pages import labels, press, shown, tap
from tests.bot.stage import ADMIN, OTHER
from tests.controller.alerts.cases import EDGES, NOW, SETTINGS


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


def test_severities_are_ordered():
    assert Severity.WARNING.rank < Severity.CRITICAL.rank


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


# --- the same elsewhere ------------------------------------------------------------------------


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

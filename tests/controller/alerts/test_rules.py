"""What is wrong by the readings alone, and from which figure on."""

import dataclasses

import pytest

from controller.alerts import AlertKind, find_alerts, list_unknown
from tests.controller.alerts.cases import (
    DAY,
    EDGES,
    NOW,
    SETTINGS,
    failing,
    of_rows,
    waiting,
    well,
)


def judge(readings, settings=SETTINGS):
    return {each.kind: each.severity for each in find_alerts(readings, settings, NOW)}


@pytest.mark.parametrize(("kind", "before", "after", "severity"), EDGES)
def test_a_rule_holds_on_one_side_of_its_threshold_and_not_on_the_other(
    kind, before, after, severity
):
    if before is not None:
        assert judge(before) == {}
    assert judge(after) == {kind: severity}


def test_every_kind_has_a_rule_and_both_sides_of_it_are_tried():
    assert {kind for kind, before, *_ in EDGES if before is not None} == set(AlertKind)


def test_nothing_is_wrong_where_all_is_well():
    assert judge(well()) == {}
    assert list_unknown(well(), NOW) == frozenset()


def test_no_budget_at_all_is_a_choice():
    nothing = dataclasses.replace(SETTINGS, day_budget=0.0)
    assert judge(of_rows(committed_usd=3.0), nothing) == {}


def test_figures_tell_what_it_is_and_do_not_change_with_time_alone():
    (alert,) = find_alerts(waiting("overdue", 700), SETTINGS, NOW)
    (later,) = find_alerts(waiting("overdue", 799), SETTINGS, NOW + 99)
    assert alert.figures == later.figures == {"count": 3, "job": "A" * 26}
    assert alert.since == NOW - 700
    (alert,) = find_alerts(failing(7), SETTINGS, NOW)
    assert alert.figures == {"count": 7, "reason": "silent", "job": "J" * 26}
    (alert,) = find_alerts(well(loop_s={"reap": 901.0, "place": 1e4, "x": 1}), SETTINGS, NOW)
    assert alert.figures == {"count": 2, "names": "place, reap"}
    assert alert.since == NOW - 1e4


def test_what_waited_before_this_process_began_is_not_its_fault_yet():
    for name, limit_s in (("unwanted", 300), ("expired", 600), ("webhook", 3600)):
        early = waiting(name, 5 * DAY, uptime_s=limit_s - 1)
        assert judge(early) == {}
        assert len(list_unknown(early, NOW)) == 1
        assert len(judge(waiting(name, 5 * DAY, uptime_s=limit_s))) == 1
        # whoever only looks believes the rows
        assert len(judge(waiting(name, 5 * DAY, uptime_s=None))) == 1
        # and what is over is over at once
        assert list_unknown(waiting(name, 1, uptime_s=1), NOW) == frozenset()


@pytest.mark.parametrize(
    ("readings", "unknown"),
    [
        (well(credit_usd=None), {AlertKind.CREDIT}),
        (well(spared=None), {AlertKind.STRANGERS}),
        (well(strays=None), {AlertKind.DESTROY}),
        (well(free_bytes=None), {AlertKind.DISK}),
        (well(backup_failing=None), {AlertKind.BACKUP}),
        (well(loop_s={}), {AlertKind.LOOP}),
        (well(writable=None), {AlertKind.DATABASE}),
        (well(notifies=False), {AlertKind.CHATS}),
        (well(listing_s=None, uptime_s=299), {AlertKind.LISTING}),
    ],
)
def test_what_cannot_be_told_is_neither_wrong_nor_well(readings, unknown):
    assert judge(readings) == {}
    assert list_unknown(readings, NOW) == unknown


def test_a_database_that_cannot_be_read_hides_its_own_figures_only():
    readings = well(rows=None, free_bytes=1, spared=9)
    assert judge(readings).keys() == {AlertKind.DATABASE, AlertKind.DISK, AlertKind.STRANGERS}
    unknown = list_unknown(readings, NOW)
    assert AlertKind.DATABASE not in unknown
    assert {AlertKind.DESTROY, AlertKind.LISTING, AlertKind.BUDGET} < unknown

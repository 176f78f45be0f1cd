"""When it rings: what is remembered of an alert, also by the process that comes after."""

import pytest

from controller import gauges
from controller.alarms import RING_S, Alarm, find_last_episode, follow_up, list_standing
from controller.alerts import AlertKind
from controller.gauges import CREDIT
from tests.controller.alerts.cases import CRITICAL, NOW, WARNING, alert, look


class Memory:
    """What is kept, as the loop keeps it."""

    def __init__(self) -> None:
        self.now = NOW
        self.alarms: dict[AlertKind, Alarm] = {}
        self.rings = 0

    def see(self, *alerts, after=0.0, unknown=()):
        self.now += after
        for each in follow_up(self.alarms.values(), alerts, unknown, self.now):
            self.alarms[each.kind] = each
            self.rings += each.rung_at == self.now
        return self

    @property
    def standing(self):
        return {each.kind: each for each in list_standing(self.alarms.values())}


def test_something_new_rings_once_however_long_it_stays():
    memory = Memory()
    for _ in range(1000):
        memory.see(alert(count=2), after=15)
    assert memory.rings == 1
    assert memory.standing[AlertKind.DESTROY].since == NOW


def test_other_figures_are_kept_and_do_not_ring():
    memory = Memory().see(alert(count=2)).see(alert(count=3, since=NOW + 50), after=15)
    assert memory.rings == 1
    (alarm,) = memory.alarms.values()
    assert (alarm.figures, alarm.since) == ({"count": 3}, NOW)


def test_nothing_is_written_where_nothing_has_changed():
    memory = Memory().see(alert(count=2))
    assert follow_up(memory.alarms.values(), [alert(count=2)], (), NOW + 15) == []
    memory.see(after=15)
    assert follow_up(memory.alarms.values(), [], (), NOW + 30) == []


def test_it_rings_again_when_it_gets_worse():
    memory = Memory().see(alert()).see(alert(severity=CRITICAL), after=1500)
    assert memory.rings == 2
    memory.see(alert(), after=15).see(alert(severity=CRITICAL), after=15)
    assert memory.rings == 2


@pytest.mark.parametrize(
    ("counts", "rings"),
    [
        ((1, 3), 1),
        ((1, 4), 2),
        ((2, 4), 1),
        ((3, 5), 1),
        ((3, 6), 2),
        ((10, 19), 1),
        ((10, 20), 2),
        ((3, 6, 11), 2),
        ((3, 6, 12), 3),
        ((6, 3, 6), 1),  # no more than people were rung for
    ],
)
def test_it_rings_again_where_there_are_many_more_of_it(counts, rings):
    memory = Memory()
    for count in counts:
        memory.see(alert(count=count), after=RING_S)
        memory.see(alert(count=count), after=15)
    assert memory.rings == rings


def test_what_grows_and_grows_rings_once_an_hour_at_most():
    memory = Memory().see(alert(count=1))
    for turn in range(1, 4 * 60):
        memory.see(alert(count=1 + turn * turn * turn), after=60)
    assert memory.rings == 4


def test_what_grew_and_went_back_before_the_hour_was_over_does_not_ring():
    memory = Memory().see(alert(count=1)).see(alert(count=9), after=60)
    memory.see(alert(count=2), after=60).see(alert(count=2), after=RING_S)
    assert memory.rings == 1


def test_each_kind_rings_for_itself():
    memory = Memory().see(alert()).see(alert(), alert(AlertKind.DISK), after=15)
    assert memory.rings == 2


def test_what_flaps_rings_once_an_hour_and_is_told_in_the_end():
    memory = Memory()
    for _ in range(int(RING_S) // 60 - 1):
        memory.see(alert(), after=30).see(after=30)
    assert memory.rings == 1
    # it stays: when the hour is over it is told
    memory.see(alert(), after=1)
    assert memory.rings == 1
    memory.see(alert(), after=RING_S)
    assert memory.rings == 2


def test_a_day_of_flapping_rings_once_an_hour_at_most():
    memory = Memory()
    for turn in range(24 * 60):
        memory.see(alert(severity=CRITICAL if turn % 2 else WARNING), after=30).see(after=30)
    assert memory.rings <= 25


def test_what_is_not_known_stays_as_it_is():
    memory = Memory().see(alert()).see(after=15, unknown={AlertKind.DESTROY})
    assert memory.standing
    memory.see(after=15)
    assert not memory.standing
    assert memory.alarms[AlertKind.DESTROY].ended_at == NOW + 30


def test_the_last_episode_is_all_that_was_wrong_together():
    memory = Memory().see(alert(AlertKind.DISK)).see(after=100)
    memory.see(alert(), after=100).see(alert(), alert(AlertKind.LOOP), after=10)
    memory.see(alert(AlertKind.LOOP), after=10).see(after=10)
    assert not memory.standing
    found = [each.kind for each in find_last_episode(memory.alarms.values())]
    assert found == [AlertKind.DESTROY, AlertKind.LOOP]


# --- in the database ---------------------------------------------------------------------------


async def test_how_many_were_rung_for_outlasts_a_restart(looked):
    house = looked
    (alarm,) = follow_up((), [alert(count=4)], (), house.clock())
    house.store.alarms.save(alarm)
    house.restart()
    assert house.store.alarms.select() == [alarm]
    assert alarm.rung_count == 4


async def test_a_restart_keeps_what_stands_and_rings_for_nothing_again(looked):
    house = looked
    house.provider.credit = 0.5
    before = (await look(house))[AlertKind.CREDIT]
    house.provider.credit = None  # the service is silent
    house.restart()
    house.clock.advance(60)
    after = (await look(house))[AlertKind.CREDIT]
    assert after == before


async def test_rows_that_another_process_left_tell_nothing_of_now(looked):
    house = looked
    house.context.vitals.note(CREDIT, 0.5)
    house.provider.credit = None
    assert AlertKind.CREDIT in await look(house)
    other = gauges.Gauges(store=house.store, settings=house.settings, clock=house.clock)
    silent = house.context.vitals.__class__(house.clock)
    assert [each.kind for each in other.judge(silent)] == [AlertKind.CREDIT]
    house.clock.advance(181)
    assert other.judge(silent) == []


async def test_what_a_former_life_found_is_nothing_until_this_one_has_looked_at_its_kind(looked):
    house = looked
    left = [AlertKind.LISTING, AlertKind.STRANGERS, AlertKind.CREDIT]
    for kind in left:
        house.store.alarms.save(follow_up((), [alert(kind=kind)], (), house.clock())[0])
    house.provider.credit = None  # the service is silent
    house.restart()
    house.controller.reconciles = True
    house.clock.advance(86400)
    house.context.vitals.beat("start")
    assert house.controller.troubles() == []
    await house.alarm.tick()
    # that a loop has looked says nothing of kinds that it could not tell yet, and they stay
    assert set(left) <= {each.kind for each in list_standing(house.store.alarms.select())}
    assert house.controller.troubles() == []
    house.context.vitals.beat("listing")
    assert house.controller.troubles() == []  # known since, and not looked at
    house.context.vitals.note(CREDIT, 0.5)
    await house.alarm.tick()
    assert {each.kind for each in house.controller.troubles()} == {AlertKind.CREDIT}
    house.controller.reconciles = False
    assert len(house.controller.troubles()) > 1  # beside the one who looks, its rows are believed

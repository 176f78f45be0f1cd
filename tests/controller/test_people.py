import re

import pytest

from controller.errors import Forbidden
from controller.people import INVITE_S
from controller.records import TERMINAL, Actor, Role

ADMIN = Actor(1, admin=True)
USER = Actor(2)


@pytest.fixture
def people(house):
    return house.controller.people


def test_a_link_lets_one_person_in_once(people):
    code = people.invite(Role.USER, by=ADMIN)
    assert re.fullmatch(r"inv_[A-Za-z0-9_-]{22,60}", code)
    assert people.accept(code, 5, "Boris") is Role.USER
    assert people.accept(code, 6, "Clara") is None
    assert [(each.user, each.role, each.name) for each in people.members()] == [
        (5, Role.USER, "Boris")
    ]
    assert (people.role(5), people.role(6), people.invited_by(5)) == (Role.USER, None, 1)


def test_who_came_by_a_link_may_follow_it_again(people):
    code = people.invite(Role.USER, by=ADMIN)
    assert people.accept(code, 5, "Boris") is Role.USER
    assert people.accept(code, 5, "Boris") is Role.USER


def test_only_a_hash_of_a_code_is_stored(house, people):
    code = people.invite(Role.ADMIN, by=ADMIN)
    files = house.settings.data_dir.glob("noxfvr.db*")
    assert not any(code[4:].encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("spoil", ["late", "revoked", "demoted", "removed", "garbled", "other"])
def test_a_link_that_does_not_hold_lets_nobody_in(people, clock, spoil):
    people.set_role(1, Role.ADMIN, by=TERMINAL)
    code = people.invite(Role.ADMIN, by=ADMIN)
    match spoil:
        case "late":
            clock.advance(INVITE_S)
        case "revoked":
            assert people.revoke_invites(by=ADMIN) == 1
        case "demoted":
            people.set_role(1, Role.USER, by=TERMINAL)
        case "removed":
            people.remove(1, by=TERMINAL)
        case "garbled":
            code += "x"
        case "other":
            code = code.removeprefix("inv_")
    assert people.accept(code, 5, "Boris") is None
    assert people.role(5) is None


def test_who_is_shut_out_stays_out_and_the_link_stays_good(people):
    people.set_role(5, Role.BLOCKED, by=ADMIN)
    code = people.invite(Role.USER, by=ADMIN)
    assert people.accept(code, 5, "Boris") is None
    assert people.role(5) is Role.BLOCKED
    assert people.accept(code, 6, "Clara") is Role.USER


def test_a_link_takes_no_right_away_and_may_give_one(people):
    people.set_role(5, Role.ADMIN, by=ADMIN)
    assert people.accept(people.invite(Role.USER, by=ADMIN), 5, "Boris") is Role.ADMIN
    people.set_role(6, Role.USER, by=ADMIN)
    assert people.accept(people.invite(Role.ADMIN, by=ADMIN), 6, "Clara") is Role.ADMIN
    assert people.role(6) is Role.ADMIN


@pytest.mark.parametrize("by", [USER, Actor(1)])
def test_only_admins_deal_with_people(people, by):
    for deed in (
        lambda: people.invite(Role.USER, by=by),
        lambda: people.set_role(5, Role.ADMIN, by=by),
        lambda: people.set_day_budget(5, 1.0, by=by),
        lambda: people.remove(5, by=by),
        lambda: people.revoke_invites(by=by),
    ):
        with pytest.raises(Forbidden):
            deed()
    assert people.members() == []


def test_nobody_is_invited_to_be_shut_out(people):
    with pytest.raises(ValueError, match="shut out"):
        people.invite(Role.BLOCKED, by=ADMIN)


def test_a_budget_makes_no_member_of_whom_the_settings_name(people):
    people.set_day_budget(5, 0.5, by=ADMIN)
    assert (people.day_budget(5), people.role(5)) == (0.5, None)
    people.set_role(5, Role.USER, by=ADMIN)
    assert people.members()[0].day_budget == 0.5
    people.set_day_budget(5, None, by=ADMIN)
    assert people.day_budget(5) is None


@pytest.mark.parametrize("usd", [-1.0, float("inf"), float("nan")])
def test_a_budget_is_an_amount(people, usd):
    with pytest.raises(ValueError, match="dollars"):
        people.set_day_budget(5, usd, by=ADMIN)


def test_admins_come_first_in_the_list(people, clock):
    for user, role in ((3, Role.BLOCKED), (4, Role.USER), (5, Role.ADMIN)):
        people.set_role(user, role, by=ADMIN)
        clock.advance(1)
    assert [each.user for each in people.members()] == [5, 4, 3]


def test_a_link_that_would_give_nothing_stays_good_for_somebody_else(people):
    people.set_role(5, Role.USER, by=ADMIN)
    code = people.invite(Role.USER, by=ADMIN)
    assert people.accept(code, 5, "Boris") is Role.USER
    assert people.accept(code, 6, "Clara") is Role.USER


def test_a_budget_outlives_its_persons_row(people):
    people.set_role(5, Role.BLOCKED, by=ADMIN)
    people.set_day_budget(5, 0.5, by=ADMIN)
    people.remove(5, by=ADMIN)
    assert (people.role(5), people.day_budget(5)) == (None, 0.5)

import pytest

from controller.errors import BadKey, Unclear
from controller.labels import Label
from controller.orphans import EXPIRY_MARGIN_S, end_orphans, find_orphans
from controller.providers.base import Instance
from tests.controller.standins import ScriptedProvider

NOW = 1_800_000_000
OURS, THEIRS = "abcd2345", "zzzz9999"
MACHINES = ["01M0000000000000000000000A", "01M0000000000000000000000B"]


def instance(number, deployment=OURS, machine=MACHINES[0], expires_at=NOW + 3600, label=None):
    text = label if label is not None else str(Label(deployment, machine, int(expires_at)))
    return Instance(id=str(number), label=text, usd_per_hour=0.07)


def found(instances, *, deployment=None, claimed=(), now=NOW):
    orphans = find_orphans(instances, deployment=deployment, claimed=claimed, now=now)
    return [orphan.instance for orphan in orphans]


@pytest.mark.parametrize(
    "label",
    [
        "",
        "my training run",
        f"nox1|{OURS}|{MACHINES[0]}",
        f"nox2|{OURS}|{MACHINES[0]}|abc",
        f"nox1|{OURS}|{MACHINES[0]}|abc|more",
        f"nox1|{OURS.upper()}|{MACHINES[0]}|abc",
        f"nox1|{OURS}|{MACHINES[0][:-1]}|abc",
        f" nox1|{OURS}|{MACHINES[0]}|abc",
        f"nox1|{OURS}|{MACHINES[0]}|abc\n",
        f"nox1|{OURS}|{MACHINES[0]}|-1",
    ],
)
@pytest.mark.parametrize("deployment", [None, OURS])
def test_a_foreign_label_is_never_touched(label, deployment):
    far_future = NOW + 10 * 365 * 86400
    assert found([instance(1, label=label)], deployment=deployment, now=far_future) == []


def test_without_a_deployment_only_those_are_found_that_are_past_their_expiry_by_ten_minutes():
    assert EXPIRY_MARGIN_S == 600
    machines = [
        instance(1, expires_at=NOW - 601),
        instance(2, expires_at=NOW - 600),
        instance(3, expires_at=NOW + 1),
        instance(4, THEIRS, expires_at=NOW - 7200),
    ]
    assert found(machines) == ["1", "4"]


def test_a_deployment_ends_its_own_whatever_their_expiry_and_nobody_elses():
    machines = [
        instance(1, expires_at=NOW + 3600),
        instance(2, expires_at=NOW - 86400),
        instance(3, THEIRS, expires_at=NOW - 86400),
    ]
    assert found(machines, deployment=OURS) == ["1", "2"]


def test_what_work_claims_is_spared():
    machines = [instance(1, machine=MACHINES[0]), instance(2, machine=MACHINES[1])]
    assert found(machines, deployment=OURS, claimed={MACHINES[0]}) == ["2"]


def test_each_says_why_and_what_it_costs():
    (orphan,) = find_orphans(
        [instance(1, expires_at=NOW - 1800)], deployment=None, claimed=(), now=NOW
    )
    assert (orphan.why, orphan.usd_per_hour) == ("expired 30 min ago", 0.07)
    (orphan,) = find_orphans([instance(1)], deployment=OURS, claimed=(), now=NOW)
    assert orphan.why == "no work claims it"


class Pauses:
    def __init__(self) -> None:
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)


async def end(provider, *numbers):
    machines = [instance(number) for number in numbers]
    provider.alive |= {each.id: each for each in machines}
    orphans = find_orphans(machines, deployment=OURS, claimed=(), now=NOW)
    pauses = Pauses()
    return await end_orphans(provider, orphans, sleep=pauses), pauses.seconds


async def test_orphans_are_destroyed_and_proven_gone():
    provider = ScriptedProvider()
    # one pause: the listing has to miss them twice
    assert await end(provider, 1, 2) == ({"1", "2"}, [10.0])
    assert provider.alive == {}


async def test_one_that_is_still_listed_is_not_reported_as_destroyed():
    provider = ScriptedProvider()
    provider.destroy_faults.extend(["lies"] * 100)
    proven, pauses = await end(provider, 1)
    assert proven == set()
    assert "1" in provider.alive
    assert len(provider.destroyed) == len(pauses) + 1 == 6  # bounded


async def test_an_end_without_a_complete_listing_proves_nothing():
    provider = ScriptedProvider()
    provider.list_faults.extend(["unclear"] * 100)
    proven, _ = await end(provider, 1)
    assert proven == set()
    assert provider.alive == {}  # it did go, and nobody can say so


async def test_what_is_unclear_is_tried_again_until_it_is_proven():
    provider = ScriptedProvider()
    provider.destroy_faults.extend(["unclear", "lies"])
    provider.list_faults.append("unclear")
    proven, pauses = await end(provider, 1)
    assert proven == {"1"}
    assert len(pauses) == 3


async def test_one_that_stays_keeps_the_others_from_nothing():
    provider = ScriptedProvider()
    provider.destroy_faults.extend(["unclear", ""] + ["unclear"] * 100)
    proven, _ = await end(provider, 1, 2)
    assert proven == {"2"}


async def test_a_refused_key_is_an_error_and_not_silence():
    class Refusing(ScriptedProvider):
        async def destroy(self, instance_ids):
            raise BadKey("the key may not destroy")

    with pytest.raises(BadKey):
        await end(Refusing(), 1)


async def test_an_unclear_destroy_in_every_try_proves_nothing():
    class Mute(ScriptedProvider):
        async def destroy(self, instance_ids):
            raise Unclear("no answer")

    proven, pauses = await end(Mute(), 1)
    assert (proven, len(pauses)) == (set(), 5)

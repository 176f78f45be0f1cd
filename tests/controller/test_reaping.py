import pytest

from controller import errands, orphans
from controller.errands import reap
from controller.errors import DatabaseError, Unclear
from controller.labels import Label
from controller.providers.base import Instance
from controller.settings import Settings

EXPIRED, ALIVE = 1_000_000_000, 4_000_000_000


@pytest.fixture
def cloud(monkeypatch, rented):
    """The provider that the reaper would reach; shared with the house of a deployment."""
    provider = rented.provider
    closed = []

    async def close():
        closed.append(True)

    provider.close = close
    monkeypatch.setattr(errands, "build_provider", lambda *_, **__: provider)
    monkeypatch.setattr(orphans, "_PAUSE_S", 0.01)
    yield provider
    assert closed


def add(provider, number, deployment, expires_at=ALIVE, machine="01M0000000000000000000000A"):
    label = str(Label(deployment, machine, expires_at))
    provider.alive[number] = Instance(id=number, label=label)


def elsewhere(tmp_path):
    return Settings(provider="vast", data_dir=tmp_path / "empty" / "data")


async def test_from_nowhere_only_expired_ones_are_ended_and_nothing_is_written(cloud, tmp_path):
    add(cloud, "1", "aaaa1111", EXPIRED)
    add(cloud, "2", "aaaa1111", ALIVE)
    cloud.alive["3"] = Instance(id="3", label="foreign")
    reaped = await reap(elsewhere(tmp_path), deployment=None, dry_run=False)
    assert [(each.orphan.instance, each.destroyed) for each in reaped] == [("1", True)]
    assert set(cloud.alive) == {"2", "3"}
    assert not (tmp_path / "empty").exists()


async def test_a_named_deployment_is_ended_from_nowhere(cloud, tmp_path):
    add(cloud, "1", "aaaa1111")
    add(cloud, "2", "bbbb2222", EXPIRED)
    reaped = await reap(elsewhere(tmp_path), deployment="aaaa1111", dry_run=False)
    assert [each.orphan.instance for each in reaped] == ["1"]
    assert set(cloud.alive) == {"2"}
    assert not (tmp_path / "empty").exists()


async def test_a_dry_run_destroys_nothing(cloud, tmp_path):
    add(cloud, "1", "aaaa1111")
    (found,) = await reap(elsewhere(tmp_path), deployment="aaaa1111", dry_run=True)
    assert (found.orphan.instance, found.destroyed) == ("1", False)
    assert cloud.destroyed == []


async def test_what_works_for_a_job_by_the_database_is_spared(cloud, rented):
    await rented.queued()
    await rented.tick()
    claimed = rented.machine().instance
    add(cloud, "stray", rented.store.deployment)
    add(cloud, "other", "bbbb2222", EXPIRED)
    reaped = await reap(rented.settings, deployment=None, dry_run=False)
    assert [each.orphan.instance for each in reaped] == ["stray"]
    assert set(cloud.alive) == {claimed, "other"}
    named = await reap(rented.settings, deployment=rented.store.deployment, dry_run=False)
    assert named == []


async def test_what_is_rented_while_the_listing_is_fetched_is_spared(cloud, rented):
    await rented.queued()
    listing = cloud.instances

    async def slow():
        cloud.instances = listing
        await rented.tick()  # the controller rents just now
        return await listing()

    cloud.instances = slow
    reaped = await reap(rented.settings, deployment=None, dry_run=False)
    assert reaped == []
    assert len(cloud.alive) == 1


async def test_a_listing_that_is_not_complete_ends_nothing(cloud, tmp_path):
    add(cloud, "1", "aaaa1111", EXPIRED)
    cloud.list_faults.append("unclear")
    with pytest.raises(Unclear):
        await reap(elsewhere(tmp_path), deployment=None, dry_run=False)
    assert set(cloud.alive) == {"1"}


async def test_an_end_that_is_not_proven_is_not_reported(cloud, tmp_path, monkeypatch):
    async def at_once(_):
        return None

    monkeypatch.setattr(errands, "end_orphans", _hurried(errands.end_orphans, at_once))
    add(cloud, "1", "aaaa1111", EXPIRED)
    cloud.destroy_faults.extend(["lies"] * 100)
    (found,) = await reap(elsewhere(tmp_path), deployment=None, dry_run=False)
    assert not found.destroyed


def _hurried(function, sleep):
    async def hurried(provider, orphans):
        return await function(provider, orphans, sleep=sleep)

    return hurried


async def test_a_look_at_a_database_adds_no_rows(cloud, rented):
    await rented.queued()
    await rented.tick()
    rows = [*rented.store.machines.select(), *rented.store.events.after(0, 1000)]
    assert await reap(rented.settings, deployment=None, dry_run=False) == []
    assert rows == [*rented.store.machines.select(), *rented.store.events.after(0, 1000)]


async def test_a_database_that_is_damaged_does_not_protect_the_machines_of_a_named_deployment(
    cloud, tmp_path
):
    settings = Settings(provider="vast", data_dir=tmp_path / "damaged")
    settings.data_dir.mkdir()
    settings.database.write_bytes(b"this is no database" * 100)
    add(cloud, "1", "aaaa1111")
    (ended,) = await reap(settings, deployment="aaaa1111", dry_run=False)
    assert (ended.orphan.instance, ended.destroyed) == ("1", True)
    with pytest.raises(DatabaseError):
        await reap(settings, deployment=None, dry_run=False)

import asyncio
import os
import secrets
import signal
import time

import psutil
import pytest

from controller.labels import Label
from controller.providers.base import Launch, Need, Offer
from controller.providers.local import LABEL_VARIABLE, LocalProvider

DEPLOYMENT = secrets.token_hex(4)
OFFER = Offer(id="local", name="CPU", usd_per_hour=0.0)
SECRET = "very-secret-value"


def launch(tmp_path, machine="01J" + "0" * 23, deadline_s=300.0):
    # orders that never come: the runner waits for them, which is all that is needed here
    label = Label(DEPLOYMENT, machine, int(time.time()) + 300)
    return Launch(
        machine=machine, label=str(label), orders_url=(tmp_path / "orders").as_uri(),
        deadline_at=time.time() + deadline_s, env={},
    )  # fmt: skip


@pytest.fixture
async def provider(tmp_path):
    provider = LocalProvider(
        deployment=DEPLOYMENT, logs_dir=tmp_path / "logs", work_dir=tmp_path / "work"
    )
    yield provider
    for instance in await provider.instances():
        if DEPLOYMENT in instance.label:
            await provider.destroy([instance.id])
    for _ in range(200):  # a child that another provider ended is collected by its parent
        await provider.instances()
        if not provider._children:
            break
        await asyncio.sleep(0.02)


async def ours(provider):
    return [each for each in await provider.instances() if DEPLOYMENT in each.label]


async def test_a_runner_is_found_by_its_label_and_destroyed_for_good(provider, tmp_path):
    asked = launch(tmp_path)
    instance = await provider.create(OFFER, asked)
    assert [(each.id, each.label) for each in await ours(provider)] == [(instance, asked.label)]
    await provider.destroy([instance])
    assert await ours(provider) == []
    await provider.destroy([instance])


async def test_another_process_adopts_a_runner_by_pid_and_start_time(provider, tmp_path):
    instance = await provider.create(OFFER, launch(tmp_path))
    stranger = LocalProvider(
        deployment=DEPLOYMENT, logs_dir=tmp_path / "logs", work_dir=tmp_path / "work"
    )
    assert [each.id for each in await ours(stranger)] == [instance]
    pid = instance.partition("-")[0]
    await stranger.destroy([f"{pid}-1.00"])  # the same pid, another start: somebody else
    assert psutil.pid_exists(int(pid))
    await stranger.destroy([instance])
    assert await ours(stranger) == []


async def test_a_runner_lives_in_a_group_of_its_own_and_sees_no_secret(
    provider, tmp_path, monkeypatch
):
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", SECRET)
    monkeypatch.setenv("B2_SECRET", SECRET)
    instance = await provider.create(OFFER, launch(tmp_path))
    process = psutil.Process(int(instance.partition("-")[0]))
    assert os.getpgid(process.pid) == process.pid
    environment = process.environ()
    assert LABEL_VARIABLE in environment
    assert SECRET not in str(environment)
    assert environment["OMP_WAIT_POLICY"] == "passive"


async def test_a_runner_that_was_killed_is_absent_at_once(provider, tmp_path):
    instance = await provider.create(OFFER, launch(tmp_path))
    os.kill(int(instance.partition("-")[0]), signal.SIGKILL)
    for _ in range(100):
        if not await ours(provider):
            break
        await asyncio.sleep(0.02)
    assert await ours(provider) == []


async def test_a_runner_that_hangs_is_killed(tmp_path):
    provider = LocalProvider(
        deployment=DEPLOYMENT, logs_dir=tmp_path / "l", work_dir=tmp_path / "w", grace_s=0.3
    )
    instance = await provider.create(OFFER, launch(tmp_path))
    os.kill(int(instance.partition("-")[0]), signal.SIGSTOP)
    await provider.destroy([instance])
    assert await ours(provider) == []


async def test_a_runner_ends_by_itself_at_its_deadline_with_nobody_watching(provider, tmp_path):
    await provider.create(OFFER, launch(tmp_path, deadline_s=3.0))
    for _ in range(200):
        if not await ours(provider):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the runner outlived its deadline")


async def test_one_machine_is_on_offer_until_it_is_taken(provider, tmp_path):
    (offer,) = await provider.offers(Need())
    assert offer.usd_per_hour == 0.0
    await provider.create(offer, launch(tmp_path))
    assert await provider.offers(Need()) == []

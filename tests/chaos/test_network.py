"""Cuts and losses between the programs: after each all goes on, and nothing happens twice."""

import asyncio

import pytest

from remote_runner.protocol import Phase
from tests.chaos.deployment import LocalDeployment, RentedDeployment
from tests.chaos.steps import (
    WORK_S,
    begin,
    enter,
    expect_done,
    expect_rest,
    jobs_of,
    wait_for_phase,
    wait_for_work,
)
from tests.e2e.chatting import is_result, see_result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
CUT_S = 6.0


async def test_the_chat_survives_cuts_delays_and_lost_answers(tmp_path, clip, long_clip):
    async with LocalDeployment(tmp_path / "home", proxied=True) as deployment:
        telegram = deployment.proxies["TELEGRAM_API_URL"]
        chat = await enter(deployment)
        telegram.delay_s = 0.05
        sent = await begin(chat, long_clip)
        await wait_for_work(deployment)
        async with telegram.cut():
            later = await chat.send_video(clip, as_document=True)
            await asyncio.sleep(CUT_S)
        telegram.delay_s = 0.0
        telegram.lose_answers(1, of=b"/sendVideo")
        await see_result(chat, sent, WORK_S)
        (job,) = (each for each in jobs_of(deployment) if each.reply_to == sent.id)
        for _ in range(300):
            if telegram.lost and deployment.store.cards.get(job.id).finished:
                break
            await asyncio.sleep(0.1)
        await chat.wait_for(lambda m: m.reply_to_id == later.id and m.button("Start"), WORK_S)
        answers = [m for m in await chat.messages() if m.from_bot and m.reply_to_id == sent.id]
        assert telegram.lost == 1
        assert 1 <= sum(is_result(m) for m in answers) <= 1 + telegram.lost
        assert len([m for m in answers if not m.media or not is_result(m)]) == 1
        assert job.attempts == 1
        await expect_rest(deployment)


async def test_a_lost_answer_to_the_create_call_rents_no_second_machine(tmp_path, clip):
    async with RentedDeployment(tmp_path / "home", proxied=True) as deployment:
        vast = deployment.proxies["VAST_URL"]
        chat = await enter(deployment)
        vast.lose_answers(1, of=b"PUT /api/v0/asks/")
        sent = await begin(chat, clip)
        await created(deployment)
        async with vast.cut():
            await asyncio.sleep(CUT_S)
        await expect_done(deployment, chat, sent, attempts=None)
        assert vast.lost == 1
        assert len(deployment.vast.creates) == 1
        await expect_rest(deployment, 120)


async def test_a_cut_between_machine_and_bucket_costs_no_work(tmp_path, long_clip):
    async with RentedDeployment(tmp_path / "home", proxied=True) as deployment:
        bucket, vast = deployment.proxies["B2_ENDPOINT"], deployment.proxies["VAST_URL"]
        chat = await enter(deployment)
        sent = await begin(chat, long_clip)
        await wait_for_phase(deployment, Phase.PROCESSING)
        async with bucket.cut():
            await asyncio.sleep(CUT_S)
        async with vast.refusing():
            await asyncio.sleep(CUT_S)
        bucket.lose_answers(2, of=b"PUT /")
        job = await expect_done(deployment, chat, sent)
        assert deployment.outputs() == [job.output_key]
        assert len(deployment.vast.creates) == 1
        await expect_rest(deployment, 120)


async def created(deployment):
    """Until the create call has arrived."""
    for _ in range(int(WORK_S / 0.1)):
        if deployment.vast.creates:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(deployment.log())

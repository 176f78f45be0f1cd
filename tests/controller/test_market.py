import dataclasses

import pytest

from controller import market
from controller.market import Filter
from controller.settings import Settings
from controller.workload import memory_gb
from remote_runner.protocol import Mode, Task
from tests.controller.conftest import FACTS
from tests.controller.standins import make_offer

OLD_IMAGE = "pytorch/pytorch:2.2.2-cuda12.1-cudnn8-runtime"


@pytest.fixture
async def job(rented):
    return await rented.queued()


def judged(job, *offers, settings=None, banned=()):
    wish = market.wish_for(job, settings or Settings(provider="vast"), 9000.0)
    seconds = {each.id: market.work_seconds(job.facts, job.task, each) for each in offers}
    return market.judge(offers, wish, seconds, banned)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"usd_per_hour": 0.1001}, Filter.PRICE),
        ({"machine_id": "bad"}, Filter.BANNED),
        ({"gpus": 2}, Filter.GPUS),
        ({"gpu_ram_gb": 2.0}, Filter.GPU_MEMORY),
        ({"gpu_ram_gb": None}, Filter.GPU_MEMORY),
        ({"compute_capability": 12.1}, Filter.CAPABILITY),
        ({"compute_capability": 5.2}, Filter.CAPABILITY),
        ({"cuda": 12.4}, Filter.CUDA),
        ({"cpu_cores": 2.0}, Filter.CORES),
        ({"cpu_cores": None}, Filter.CORES),
        ({"ram_gb": 4.0}, Filter.MEMORY),
        ({"disk_gb": 10.0}, Filter.DISK),
        ({"reliability": 0.8}, Filter.RELIABILITY),
        ({"down_mbps": 20.0}, Filter.NETWORK),
        ({"up_mbps": 5.0}, Filter.NETWORK),
        ({"duration_s": 600.0}, Filter.DURATION),
    ],
)
def test_an_offer_that_lacks_one_thing_fails_by_exactly_that(job, changes, failed):
    found = judged(job, make_offer(**changes), banned={"bad"})
    assert found.best is None
    assert found.ranked[0].failed == (failed,)
    assert found.removed() == {failed: 1}


def test_an_old_image_refuses_new_cards_and_the_new_one_takes_them(job):
    card = make_offer(name="RTX 5060 Ti", compute_capability=12.0, gpu_ram_gb=16.0)
    old = judged(job, card, settings=Settings(provider="vast", image=OLD_IMAGE))
    assert old.ranked[0].failed == (Filter.CAPABILITY,)
    assert judged(job, card).best.offer is card


def test_dear_traffic_loses_against_a_dearer_machine(job):
    big = dataclasses.replace(job, source_bytes=8_000_000_000)
    cheap = make_offer(id="1", usd_per_hour=0.04, usd_per_gb_down=0.03, usd_per_gb_up=0.03)
    fair = make_offer(id="2", usd_per_hour=0.09)
    found = judged(big, cheap, fair)
    assert found.best.offer is fair
    assert found.ranked[1].usd > 2 * found.ranked[0].usd


def test_a_fast_card_wins_where_the_work_is_long(job):
    long = dataclasses.replace(
        job,
        facts=dataclasses.replace(FACTS, width=1920, height=1080, frames=200_000),
        task=Task(model="realesr-general-x4v3", scale=4),
    )
    slow = make_offer(id="1", usd_per_hour=0.05, tflops=6.0, gpu_ram_gb=24.0)
    fast = make_offer(id="2", usd_per_hour=0.09, tflops=40.0, gpu_ram_gb=24.0)
    patient = Settings(provider="vast", job_timeout_s=10 * 86400, job_budget=100)
    assert judged(long, slow, fast, settings=patient).best.offer is fast
    hasty = judged(long, slow, fast, settings=Settings(provider="vast", job_budget=100))
    assert {each.failed for each in hasty.ranked} == {(Filter.TIME,)}
    poor_settings = Settings(provider="vast", job_timeout_s=10 * 86400, job_budget=0.1)
    poor = judged(long, slow, fast, settings=poor_settings)
    assert {each.failed for each in poor.ranked} == {(Filter.BUDGET,)}


def test_an_empty_result_says_which_filter_removed_how_many_and_what_would_do(job):
    found = judged(
        job,
        make_offer(id="1", usd_per_hour=0.15, name="RTX 4070"),
        make_offer(id="2", usd_per_hour=0.13, name="RTX 3080"),
        make_offer(id="3", cpu_cores=2.0),
        make_offer(id="4", cpu_cores=2.0, usd_per_hour=0.12),
    )
    told = found.explain(0.10)
    assert told.startswith("none of 4 offers fits under $0.100/hr: price 3, cores 2")
    assert told.endswith("the cheapest that would do: RTX 3080 @ $0.130/hr")


def test_a_market_without_offers_is_said_to_be_empty(job):
    assert judged(job).explain(0.1) == "the market shows no offers at all"


def test_a_rented_processor_is_asked_for_no_card(job):
    settings = Settings(provider="vast", device="cpu")
    offer = make_offer(gpu_ram_gb=None, compute_capability=None, cuda=None)
    assert judged(job, offer, settings=settings).best


def test_memory_and_time_grow_with_the_work(job):
    large = dataclasses.replace(FACTS, width=1920, height=1080)
    assert memory_gb(FACTS, Task()) < memory_gb(large, Task(scale=4))
    offer = make_offer()
    once = market.work_seconds(FACTS, Task(model="starter"), offer)
    assert market.work_seconds(FACTS, Task(model="starter", scale=4), offer) > once
    assert market.work_seconds(FACTS, Task(model="RealESRGAN_x4plus"), offer) > 10 * once
    auto = market.work_seconds(FACTS, Task(), offer)
    assert auto == market.work_seconds(FACTS, Task(model="realesr-general-x4v3"), offer)
    assert auto > market.work_seconds(FACTS, Task(), offer, "cpu") == once
    assert market.work_seconds(FACTS, Task(mode=Mode.BOTH), offer) > auto


def test_traffic_is_of_the_result_and_of_its_segments(job):
    def gigabytes(each, **prices):
        wish = market.wish_for(each, Settings(provider="vast"), 9000.0)
        none = {"usd_per_gb_down": 0.0, "usd_per_gb_up": 0.0, "with_image": False}
        return market.traffic_usd(wish, **none | prices)

    film = dataclasses.replace(job, source_bytes=2 * 10**9)
    out_gb = market.wish_for(film, Settings(provider="vast"), 9000.0).out_gb
    assert gigabytes(film, usd_per_gb_up=1.0) == pytest.approx(2 * out_gb)
    assert gigabytes(film, usd_per_gb_down=1.0) == pytest.approx(2.0)
    # a later attempt fetches what earlier ones have left; a sample saves nothing
    again = dataclasses.replace(film, attempts=1)
    assert gigabytes(again, usd_per_gb_down=1.0) == pytest.approx(2.0 + out_gb)
    sample = dataclasses.replace(film, sample_of="01J")
    assert gigabytes(sample, usd_per_gb_up=1.0) == pytest.approx(out_gb)

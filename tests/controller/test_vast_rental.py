"""The provider against the stand-in, whose instances really run."""

import asyncio
import time

import pytest

from controller.errors import BadKey, NoCredit, OfferGone, ProviderError, RateLimited, Unclear
from controller.providers.base import InstanceStatus, Need
from tests.controller.vast_calls import until
from tests.controller.vast_script import NOW, launch, provider_at
from tests.standins.vast import VastStandin, make_body, make_offer


class Hurry:
    """Time that runs so many times faster."""

    def __init__(self, speed):
        self.speed = speed
        self.began_at = time.monotonic()

    def clock(self):
        return NOW + (time.monotonic() - self.began_at) * self.speed

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / self.speed)


@pytest.fixture
async def standin(tmp_path):
    offers = [make_offer(dph_base=0.05 + n / 100) for n in range(3)]
    async with VastStandin(tmp_path / "instances", offers) as standin:
        yield standin


@pytest.fixture
async def provider(standin):
    provider = provider_at(standin.url, Hurry(200), key=standin.account_key, timeout_s=0.5)
    yield provider
    await provider.close()


async def rent(provider, number=0, **changes):
    offers = await provider.offers(Need(disk_gb=20.0))
    return await provider.create(offers[0], launch(number, **changes))


async def test_a_machine_is_found_rented_watched_read_and_destroyed(standin, provider):
    offers = await provider.offers(Need(disk_gb=20.0, max_usd_per_hour=0.065))
    assert [round(each.usd_per_hour, 4) for each in offers] == [0.0542, 0.0642]
    standin.log_delay_s = 0.02
    script = "echo hello; echo again; exec sleep 60"
    number = await provider.create(offers[0], launch(script=script, image="img:tag"))
    await until(lambda: standin.instances[int(number)].actual == "running")
    (listed,) = await provider.instances()
    assert (listed.id, listed.label) == (number, launch().label)
    assert listed.status is InstanceStatus.RUNNING
    assert listed.usd_per_hour == pytest.approx(offers[0].usd_per_hour)
    for _ in range(50):
        lines = await provider.logs(number, 10)
        if lines:
            break
    assert lines == ["hello", "again"]
    assert 24 < await provider.credit_usd() <= 25
    assert await provider.destroy([number]) == {number}
    assert await provider.instances() == []
    assert await provider.destroy([number]) == {number}
    assert standin.mistakes == []


CREATE_FAULTS = {
    "410": OfferGone, "no_such_ask": OfferGone, "401": BadKey, "404_auth": BadKey,
    "insufficient_credit": NoCredit, "spend_rate_limit": NoCredit, "429": RateLimited,
    "invalid_args": ProviderError, "success_false": ProviderError,
    "timeout": Unclear, "drop": Unclear, "drop_after_body": Unclear, "lost_answer": Unclear,
    "half_answer": Unclear, "500_html": Unclear, "502": Unclear, "503": Unclear, "504": Unclear,
    "html_200": Unclear, "not_json": Unclear, "empty": Unclear, "error_with_contract": Unclear,
    "timeout_after": Unclear, "500_html_after": Unclear, "html_200_after": Unclear,
    "empty_after": Unclear, "not_json_after": Unclear,
}  # fmt: skip


@pytest.mark.parametrize("fault", CREATE_FAULTS)
async def test_a_create_that_goes_wrong_makes_one_call_and_one_machine_at_most(
    standin, provider, fault
):
    standin.faults["create"].append(fault)
    with pytest.raises(CREATE_FAULTS[fault]) as raised:
        await rent(provider)
    assert len(standin.creates) == 1
    if raised.type is not Unclear:
        assert standin.alive() == []
    # what may exist is found by its label, and ended
    listed = await provider.instances()
    assert [each.label for each in listed] == [launch().label] * len(standin.alive())
    assert len(listed) <= 1
    await provider.destroy([each.id for each in listed])
    assert standin.alive() == []


async def test_an_answered_create_whose_connection_is_reset_afterwards_is_done(standin, provider):
    standin.faults["create"].append("close_after")
    assert (await rent(provider)) == str(standin.alive()[0].id)


@pytest.mark.parametrize("shape", ["410", "404", "400"])
async def test_an_offer_that_was_taken_is_gone_in_every_shape(standin, provider, shape):
    standin.gone_offer_as = shape
    offers = await provider.offers(Need())
    await provider.create(offers[0], launch())
    with pytest.raises(OfferGone):
        await provider.create(offers[0], launch(1))


@pytest.mark.parametrize(
    "fault",
    ["missing_page", "empty_list", "no_rows", "410", "html_200", "not_json", "empty",
     "success_false"],
)  # fmt: skip
async def test_a_spoilt_listing_concludes_nothing(standin, provider, fault):
    await rent(provider)
    standin.faults["list"].append(fault)
    with pytest.raises(Unclear):
        await provider.instances()
    assert len(await provider.instances()) == 1


@pytest.mark.parametrize("fault", ["502", "429", "drop", "lost_answer", "timeout"])
async def test_a_passing_failure_of_the_listing_is_not_noticed(standin, provider, fault):
    await rent(provider)
    standin.faults["list"].append(fault)
    assert len(await provider.instances()) == 1


BEHAVIOURS = {
    "never": InstanceStatus.CREATED,
    "scheduling": InstanceStatus.CREATED,
    "stuck_loading": InstanceStatus.PULLING,
    "slow_unpack": InstanceStatus.PULLING,
    "dead_host": InstanceStatus.HOST_FAILED,
    "manifest_unknown": InstanceStatus.IMAGE_FAILED,
    "tls_timeout": InstanceStatus.HOST_FAILED,
    "oci_failure": InstanceStatus.HOST_FAILED,
    "offline": InstanceStatus.OFFLINE,
    "outbid": InstanceStatus.ENDED,
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_each_way_to_fare_badly_has_its_status(standin, provider, behaviour):
    for offer in standin.offers.values():
        standin.behaviour[offer["machine_id"]] = behaviour
    await rent(provider, script="exec sleep 60")
    expected = BEHAVIOURS[behaviour]
    for _ in range(200):
        (listed,) = await provider.instances()
        if listed.status is expected:
            break
        await asyncio.sleep(0.01)
    assert listed.status is expected


async def test_a_container_that_is_started_again_is_not_ended(standin, provider):
    standin.restart_s = 0.05
    number = await rent(provider, script="exit 0")
    instance = standin.instances[int(number)]
    await until(lambda: instance.actual == "exited")
    (listed,) = await provider.instances()
    assert listed.status in (InstanceStatus.PULLING, InstanceStatus.RUNNING)


async def test_one_that_is_gone_already_keeps_no_other_alive(standin, provider):
    standin.bulk_missing_as = "404"
    numbers = [await rent(provider, number) for number in range(3)]
    standin.destroy(standin.instances[int(numbers[1])])
    assert await provider.destroy(numbers) == set(numbers)
    assert standin.alive() == []


async def test_a_refused_key_never_reads_as_gone(standin, provider):
    number = await rent(provider)
    standin.bad_key_as = 404
    standin.account_key = "another"
    with pytest.raises(BadKey):
        await provider.destroy([number])
    with pytest.raises(BadKey):
        await provider.instances()
    assert len(standin.alive()) == 1


async def test_the_quota_of_searches_is_told(standin, provider):
    standin.search_quota = 0
    with pytest.raises(RateLimited, match="quota"):
        await provider.offers(Need())
    assert standin.requests["search"] == 1


async def test_at_the_documented_limits_nothing_is_ever_throttled():
    market = [make_offer() for _ in range(64)]
    async with VastStandin(None, market, runs=False, time_scale=1 / 20) as standin:
        for offer in market[4:]:  # others of the account, so that there are pages
            standin.rent(offer["id"], make_body(label="foreign"))
        provider = provider_at(standin.url, Hurry(20), key=standin.account_key)
        offers = await provider.offers(Need())
        for number, offer in enumerate(offers):
            await provider.create(offer, launch(number))
        listings = await asyncio.gather(*(provider.instances() for _ in range(10)))
        assert {len(each) for each in listings} == {64}
        assert standin.peak["list"] == 1 and standin.requests["list"] == 3
        ids = [each.id for each in listings[0] if each.label != "foreign"]
        assert await provider.destroy(ids) == set(ids)
        assert await provider.destroy(ids[:1]) == set(ids[:1])
        await provider.instances()
        await provider.close()
        assert standin.requests["create"] == 4 and standin.requests["list"] == 6
        assert sum(standin.throttled.values()) == 0
        assert len(standin.alive()) == 60

import asyncio

import pytest

from controller.errors import NoCredit, OfferGone, ProviderError, RateLimited, Unclear
from controller.labels import Label
from controller.providers.base import InstanceStatus, Launch, Need
from tests.simulation.faults import Fault
from tests.simulation.outside.vast_http import make_provider

LABEL = str(Label("simulate", "01ARZ3NDEKTSV4RRFFQ69G5FAV", 1_900_000_000))
NEED = Need(disk_gb=20.0, max_usd_per_hour=0.1)


def launch(**changes) -> Launch:
    values = {
        "machine": "m", "label": LABEL, "orders_url": "", "deadline_at": 0.0, "env": {},
        "script": "true", "image": "image:1", "disk_gb": 20.0,
    }  # fmt: skip
    return Launch(**values | changes)


def provider_of(outside):
    outside.machines._start = outside.vast.on_start = lambda _: None
    return make_provider(outside.process, outside.vast, "simulate", outside.now)


async def rent(outside, provider):
    return await provider.create((await provider.offers(NEED))[0], launch())


async def find(provider, number):
    return next((each for each in await provider.instances() if each.id == number), None)


def test_a_machine_is_found_rented_watched_paid_and_destroyed(simulated):
    async def play(outside):
        provider, vast = provider_of(outside), outside.vast
        offers = await provider.offers(NEED)
        assert [each.usd_per_hour for each in offers] == sorted(e.usd_per_hour for e in offers)
        assert max(each.usd_per_hour for each in offers) <= 0.1
        number = await provider.create(offers[0], launch())
        assert (await find(provider, number)).label == LABEL
        await asyncio.sleep(200)
        assert (await find(provider, number)).status is InstanceStatus.RUNNING
        before = vast.billed_usd(LABEL)
        await asyncio.sleep(3600)
        hour = vast.billed_usd(LABEL) - before
        assert hour == pytest.approx(offers[0].usd_per_hour, rel=0.01)
        assert offers[0].id not in [each.id for each in await provider.offers(NEED)]
        with pytest.raises(OfferGone):
            await provider.create(offers[0], launch())
        assert await provider.destroy([number]) == {number}
        assert await find(provider, number) is None
        paid = vast.billed_usd()
        await asyncio.sleep(3600)
        assert vast.billed_usd() == paid
        assert await provider.destroy([number]) == {number}

    simulated(play)


def test_all_pages_of_a_listing_are_followed(simulated):
    async def play(outside):
        outside.vast.page_rows = 2
        assert len(await provider_of(outside).instances()) == 3

    simulated(play)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.LIST_ERROR_BODY,
        Fault.LIST_EMPTY,
        Fault.LIST_HTML,
        Fault.LIST_PAGE_MISSING,
    ],
)
def test_a_listing_that_is_not_complete_is_unclear(simulated, fault):
    async def play(outside):
        outside.vast.page_rows = 2
        outside.force(fault)
        with pytest.raises(Unclear):
            await provider_of(outside).instances()

    simulated(play)


def test_a_listing_may_be_empty_and_look_whole(simulated):
    async def play(outside):
        provider = provider_of(outside)
        outside.force(Fault.LIST_NOTHING)
        assert await provider.instances() == []
        assert len(await provider.instances()) == 3

    simulated(play)


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        (Fault.CREATE_OFFER_GONE, OfferGone, 0),
        (Fault.CREATE_NO_CREDIT, NoCredit, 0),
        (Fault.CREATE_LIMITED, RateLimited, 0),
        (Fault.CREATE_SERVER_ERROR, Unclear, 0),
        (Fault.CREATE_HTML, Unclear, 0),
        (Fault.CREATE_SERVER_ERROR_AFTER, Unclear, 1),
        (Fault.CREATE_ERROR_WITH_CONTRACT, Unclear, 1),
        (Fault.VAST_ANSWER_LOST, Unclear, 1),
    ],
)
def test_a_create_that_fails_has_made_what_it_has_made(simulated, fault, error, made):
    async def play(outside):
        provider = provider_of(outside)
        (offer, *_) = await provider.offers(NEED)
        outside.force(fault)
        with pytest.raises(error):
            await provider.create(offer, launch())
        assert len(outside.vast.alive()) == made
        assert outside.vast.requests["create"] == 1

    simulated(play)


def test_a_create_in_flight_is_carried_out_later(simulated):
    async def play(outside):
        provider = provider_of(outside)
        (offer, *_) = await provider.offers(NEED)
        outside.force(Fault.VAST_IN_FLIGHT)
        with pytest.raises(Unclear):
            await provider.create(offer, launch())
        await asyncio.sleep(130)
        assert len(outside.vast.alive()) == 1

    simulated(play)


def test_where_no_connection_came_about_nothing_was_made(simulated):
    async def play(outside):
        provider = provider_of(outside)
        (offer, *_) = await provider.offers(NEED)
        # the first occasion is the connection, the second would be the request itself
        outside.force(Fault.VAST_REQUEST_LOST)
        with pytest.raises(ProviderError):
            await provider.create(offer, launch())
        assert not outside.vast.requests["create"]

    simulated(play)


def test_a_new_machine_may_be_hidden_for_two_minutes(simulated):
    async def play(outside):
        provider = provider_of(outside)
        outside.force(Fault.LIST_HIDES_NEW)
        number = await rent(outside, provider)
        assert await find(provider, number) is None
        await asyncio.sleep(120)
        assert await find(provider, number)

    simulated(play)


def test_a_destroy_may_lie(simulated):
    async def play(outside):
        provider = provider_of(outside)
        number = await rent(outside, provider)
        outside.force(Fault.DESTROY_LIES)
        assert await provider.destroy([number]) == {number}
        assert await find(provider, number)

    simulated(play)


def test_requests_that_come_too_often_are_refused(simulated):
    async def play(outside):
        vast = outside.vast

        def ask(method, path, body=None):
            return vast.answer(method, path, query={}, body=body, key=vast.account_key).status

        assert [ask("GET", "/api/v1/instances/") for _ in range(2)] == [200, 429]
        searches = [ask("POST", "/api/v0/bundles/", {"limit": 1}) for _ in range(11)]
        assert searches == [200] * 10 + [429]
        await asyncio.sleep(61)
        assert ask("GET", "/api/v1/instances/") == 200

    simulated(play)


def test_what_the_real_api_refuses_is_refused(simulated):
    async def play(outside):
        vast = outside.vast

        def ask(method, path, body=None, key=vast.account_key, **query):
            return vast.answer(method, path, query=query, body=body, key=key).status

        assert ask("GET", "/api/v1/instances/", key="another") == 401
        assert ask("PUT", "/api/v0/asks/1/", {"image": "x", "onstrat": ""}) == 400
        assert ask("POST", "/api/v0/bundles/", {"gpu": {"eq": 1}}) == 400
        assert ask("GET", "/api/v1/instances/", label="x") == 400
        assert ask("DELETE", "/api/v0/instances/", {"instance_ids": ["1"]}) == 400
        for method, path in (("GET", "/api/v0/instances/"), ("GET", "/api/v1/instances")):
            with pytest.raises(LookupError):
                ask(method, path)

    simulated(play)


def test_without_credit_everything_is_stopped_and_its_disk_costs(simulated):
    async def play(outside):
        provider, vast = provider_of(outside), outside.vast
        vast.starts_again = 0.0
        number = await rent(outside, provider)
        await asyncio.sleep(300)
        outside.force(Fault.CREDIT_EXHAUSTED)
        assert await provider.credit_usd() == 0.0
        assert (await find(provider, number)).status is InstanceStatus.ENDED
        paid = vast.billed_usd()
        await asyncio.sleep(3600)
        assert 0.0 < vast.billed_usd() - paid < 0.01
        assert len(vast.alive()) == 1

    simulated(play)


def test_what_was_stopped_may_start_again_with_its_old_script_and_costs(simulated):
    async def play(outside):
        provider, vast, started = provider_of(outside), outside.vast, []
        vast.starts_again = 1.0
        number = await rent(outside, provider)
        await asyncio.sleep(300)
        vast.on_start = started.append
        instance = vast.instances[int(number)]
        vast.stop(instance)
        assert (await find(provider, number)).status is InstanceStatus.ENDED
        paid = vast.billed_usd()
        await asyncio.sleep(900)
        assert (await find(provider, number)).status is InstanceStatus.RUNNING
        assert started == [instance]
        assert vast.billed_usd() - paid > 0.1 * instance.price
        vast.stop(instance)
        await provider.destroy([number])
        await asyncio.sleep(900)
        assert started == [instance]

    simulated(play)


def test_logs_come_from_a_url_that_is_read_without_the_key(simulated):
    async def play(outside):
        provider = provider_of(outside)
        number = await rent(outside, provider)
        await asyncio.sleep(300)
        outside.vast.instances[int(number)].say("[PROGRESS] 45%")
        assert await provider.logs(number, 10) == ["[PROGRESS] 45%"]
        assert vast_refuses_key(outside.vast)

    def vast_refuses_key(vast):
        reply = vast.answer("GET", "/logs/1-1.log", query={}, body=None, key=vast.account_key)
        return reply.status == 400

    simulated(play)


def test_others_machines_are_no_cost_of_ours_and_touching_one_is_noted(simulated):
    async def play(outside):
        provider, vast = provider_of(outside), outside.vast
        strangers = await provider.instances()
        assert len(strangers) == 3
        assert not vast.alive()
        await provider.destroy([strangers[0].id])
        assert vast.touched_foreign

    simulated(play)

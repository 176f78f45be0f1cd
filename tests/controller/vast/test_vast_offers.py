from itertools import islice

import pytest

from controller.errors import BadKey, ProviderError, Unclear
from controller.providers.base import Need, Offer
from controller.providers.vast_rows import to_offer
from tests.controller.vast_script import NOW

SEARCH = "POST /api/v0/bundles/"


def row(number=1, **changes):
    offer = {
        "id": number, "machine_id": 900 + number, "gpu_name": "RTX 3060", "num_gpus": 1,
        "gpu_ram": 12288, "compute_cap": 860, "cuda_max_good": 12.8, "total_flops": 12.7,
        "dph_base": 0.05, "storage_cost": 0.144, "dph_total": 0.054, "inet_down": 500.0,
        "inet_up": 200.0, "inet_down_cost": 0.003, "inet_up_cost": 0.002, "reliability2": 0.99,
        "verification": "verified", "disk_space": 200.0, "cpu_ram": 64000, "cpu_cores": 24,
        "cpu_cores_effective": 12.0, "duration": 86400.0, "geolocation": "Warsaw, PL",
    }  # fmt: skip
    return offer | changes


async def test_a_search_spells_out_every_filter(script, provider):
    script.on(SEARCH, (200, {"offers": []}))
    need = Need(disk_gb=40.0, max_usd_per_hour=0.1, min_gpu_ram_gb=8.0, min_duration_s=7200.0)
    assert await provider.offers(need) == []
    assert script.bodies(SEARCH) == [
        {
            "verified": {"eq": True}, "external": {"eq": False}, "rentable": {"eq": True},
            "rented": {"eq": False}, "num_gpus": {"eq": 1}, "type": "on-demand",
            "order": [["dph_total", "asc"]], "limit": 64, "allocated_storage": 40.0,
            "dph_total": {"lte": 0.1}, "gpu_ram": {"gte": pytest.approx(7360.0)},
            "duration": {"gte": 7200.0},
        }
    ]  # fmt: skip
    await provider.offers(Need())
    assert {"dph_total", "gpu_ram", "duration"}.isdisjoint(script.seen[-1].body)


def test_a_row_becomes_an_offer_with_its_own_share_of_the_computer():
    offer = to_offer(row(), disk_gb=40.0, now=NOW)
    assert offer == Offer(
        id="1", name="RTX 3060", usd_per_hour=pytest.approx(0.05 + 40 * 0.144 / 720),
        machine_id="901", gpus=1, gpu_ram_gb=pytest.approx(12.288), compute_capability=8.6,
        cuda=12.8, tflops=12.7, cpu_cores=12.0, ram_gb=32.0, disk_gb=200.0, down_mbps=500.0,
        up_mbps=200.0, usd_per_gb_down=0.003, usd_per_gb_up=0.002, reliability=0.99,
        duration_s=86400.0, country="PL",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"storage_cost": None}, "usd_per_hour", 0.054),
        ({"dph_base": "x"}, "usd_per_hour", 0.054),
        ({"cpu_cores": None}, "ram_gb", None),
        ({"cpu_cores": 0}, "ram_gb", None),
        ({"cpu_cores_effective": 48.0}, "ram_gb", 64.0),
        ({"cpu_cores_effective": None}, "cpu_cores", None),
        ({"num_gpus": 2, "total_flops": 20.0}, "tflops", 10.0),
        ({"num_gpus": 0.5}, "gpus", 1),
        ({"gpu_ram": None, "num_gpus": 2, "gpu_total_ram": 16000}, "gpu_ram_gb", 8.0),
        ({"gpu_ram": "12000"}, "gpu_ram_gb", 12.0),
        ({"compute_cap": 1200}, "compute_capability", 12.0),
        ({"compute_cap": None}, "compute_capability", None),
        ({"reliability2": None, "reliability": 0.9}, "reliability", 0.9),
        ({"inet_down": -1}, "down_mbps", None),
        ({"inet_down": float("nan")}, "down_mbps", None),
        ({"inet_down": 10**400}, "down_mbps", None),
        ({"inet_down_cost": None}, "usd_per_gb_down", 0.0),
        ({"duration": None, "end_date": NOW + 60}, "duration_s", 60.0),
        ({"duration": None, "end_date": NOW - 60}, "duration_s", 0.0),
        ({"geolocation": ", US"}, "country", "US"),
        ({"geolocation": None}, "country", ""),
        ({"geolocation": "??"}, "country", ""),
        ({"gpu_name": None}, "name", "GPU"),
        ({"machine_id": None}, "machine_id", ""),
    ],
)
def test_a_field_that_is_missing_or_odd_spoils_nothing_else(changes, name, value):
    offer = to_offer(row(**changes), disk_gb=0.0, now=NOW)
    found = getattr(offer, name)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None}, {"id": True}, {"id": "a/b"}, {"id": 1.5},
        {"dph_base": None, "dph_total": None}, {"dph_base": -1, "dph_total": float("inf")},
        {"rentable": False}, {"rented": True}, {"external": True}, {"is_bid": True},
        {"verification": "unverified"}, {"verification": "deverified"},
    ],
)  # fmt: skip
async def test_what_is_no_offer_or_was_not_asked_for_is_left_out(script, provider, changes):
    script.on(SEARCH, (200, {"offers": [row(**changes), row(2), "rubbish"]}))
    assert [each.id for each in await provider.offers(Need())] == ["2"]


async def test_pages_go_on_by_price_without_doubles_until_nothing_is_new(script, provider):
    market = [row(number, dph_base=number / 1000, storage_cost=0.0, dph_total=number / 1000)
              for number in range(1, 151)]  # fmt: skip

    def serve(seen):
        least = seen.body.get("dph_total", {}).get("gte", 0)
        return 200, {"offers": [each for each in market if each["dph_total"] >= least][:64]}

    script.on(SEARCH, serve)
    offers = await provider.offers(Need())
    assert [int(each.id) for each in offers] == list(range(1, 151))
    assert script.count(SEARCH) == 3


async def test_a_server_that_ignores_the_price_is_not_asked_for_ever(script, provider):
    script.on(SEARCH, (200, {"offers": [row(number) for number in range(1, 65)]}))
    assert len(await provider.offers(Need())) == 64
    assert script.count(SEARCH) == 2


async def test_four_pages_are_enough_and_the_cheapest_is_first(script, provider):
    numbers = iter(range(1, 9999))

    def serve(seen):
        return 200, {
            "offers": [row(number, dph_base=1 / number) for number in islice(numbers, 64)]
        }

    script.on(SEARCH, serve)
    offers = await provider.offers(Need())
    assert script.count(SEARCH) == 4
    assert [each.usd_per_hour for each in offers] == sorted(each.usd_per_hour for each in offers)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {"offers": {"id": 1}}), Unclear),
        ((200, {}), Unclear),
        ((200, "<html>"), Unclear),
        ((404, {"error": "auth_error", "msg": "Invalid user key"}), BadKey),
        ((400, {"error": "invalid_args", "msg": "no"}), ProviderError),
    ],
)
async def test_a_search_that_fails_is_no_empty_market(script, provider, answer, expected):
    script.on(SEARCH, answer)
    with pytest.raises(expected):
        await provider.offers(Need())

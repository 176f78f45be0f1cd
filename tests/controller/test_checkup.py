import dataclasses

import pytest
from aiohttp import web

from controller import checkup
from controller.errors import BadKey, StorageError, Unclear
from controller.labels import Label
from controller.providers.base import Instance
from controller.settings import Settings
from controller.storage.folder import FolderStorage
from tests.controller.standins import RentedProvider, make_offer

NOW = 1_800_000_000.0
KEY = "the-key-of-the-account"
SETTINGS = Settings(provider="vast", storage="s3", b2_bucket="videos", secrets=(KEY,))


@pytest.fixture
def provider():
    return RentedProvider()


async def examined(provider, settings=SETTINGS):
    found = await checkup.examine_provider(provider, settings, deployment="abcd2345", now=NOW)
    return {each.name: each for each in found}


async def test_a_provider_that_will_do_is_fine_in_every_line(provider):
    found = await examined(provider)
    assert {each.level for each in found.values()} == {"ok"}
    assert found["vast credit"].detail == "$10.00"
    assert found["market"].detail == (
        "1 offers fit under $0.100/hr, the best: RTX 3060 @ $0.060/hr"
    )


async def test_a_key_that_is_refused_ends_the_look(provider):
    async def credit_usd():
        raise BadKey(f"{KEY} is not known")

    provider.credit_usd = credit_usd
    found = await examined(provider)
    assert [each.level for each in found.values()] == ["fail"]
    assert KEY not in str(found["vast key"])


@pytest.mark.parametrize(
    ("credit", "level"),
    [(None, "ok"), (1.0, "ok"), (0.99, "warn"), (0.10, "warn"), (0.09, "fail")],
)
async def test_credit_is_judged_by_what_it_is_enough_for(provider, credit, level):
    provider.credit = credit
    assert (await examined(provider))["vast credit"].level == level


async def test_a_listing_that_is_not_complete_is_a_failure(provider):
    provider.list_faults.append("unclear")
    found = await examined(provider)
    assert found["machines"].level == "fail"
    assert "nothing is rented meanwhile" in found["machines"].remedy


async def test_machines_are_counted_and_expired_ones_named(provider):
    labels = [
        str(Label("abcd2345", "01M0000000000000000000000A", int(NOW + 60))),
        str(Label("zzzz9999", "01M0000000000000000000000B", int(NOW - 7200))),
        "foreign",
    ]
    provider.alive = {str(n): Instance(id=str(n), label=text) for n, text in enumerate(labels)}
    found = await examined(provider)
    assert found["machines"].detail == "1 of this deployment, 3 on the account"
    assert found["orphans"].level == "warn"
    assert found["orphans"].detail == "1 past their deadline: #1"


async def test_a_market_with_nothing_under_the_cap_is_explained(provider):
    provider.market = [make_offer(usd_per_hour=0.3), make_offer(id="2", cpu_cores=1.0)]
    found = (await examined(provider))["market"]
    assert found.level == "fail"
    assert found.detail == (
        "none of 2 offers fits under $0.100/hr: price 1, cores 1; "
        "the cheapest that would do: RTX 3060 @ $0.300/hr"
    )


class Bucket:
    def __init__(self, *, skew_s=0.0, lifecycle=True, cors=True, error=None) -> None:
        self._answers = (skew_s, lifecycle, cors)
        self._error = error

    async def check_access(self):
        if self._error:
            raise StorageError(self._error)

    async def clock_skew_s(self):
        return self._answers[0]

    async def has_lifecycle(self):
        return self._answers[1]

    async def cors_allows_download(self):
        return self._answers[2]


async def levels(bucket):
    return {each.name: each.level for each in await checkup.examine_bucket(bucket, SETTINGS)}


async def test_a_bucket_that_will_do_is_fine():
    found = await levels(Bucket())
    assert len(found) == 4
    assert set(found.values()) == {"ok"}


async def test_a_bucket_that_may_not_be_used_fails_without_its_secret():
    (found,) = await checkup.examine_bucket(
        Bucket(error=f"403 for {KEY}; writeFiles is needed"), SETTINGS
    )
    assert found.level == "fail"
    assert "writeFiles is needed" in found.detail
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("skew_s", "level"),
    [(60, "ok"), (-60, "ok"), (61, "warn"), (-61, "warn"), (600, "warn"), (601, "fail")],
)
async def test_a_clock_that_is_wrong_is_told(skew_s, level):
    assert (await levels(Bucket(skew_s=skew_s)))["clock"] == level


@pytest.mark.parametrize("answer", [False, None])
async def test_missing_rules_of_a_bucket_are_warnings_only(answer):
    found = await levels(Bucket(lifecycle=answer, cors=answer))
    assert (found["bucket lifecycle"], found["bucket CORS"]) == ("warn", "warn")


@pytest.mark.parametrize(
    ("image", "level"),
    [
        (Settings().image, "ok"),
        ("me/runner:1-cuda12.8", "ok"),
        ("me/runner:cuda", "warn"),
        ("me/runner:latest", "warn"),
        ("me/runner", "warn"),
        ("registry.example:5000/me/runner", "warn"),
        ("me/runner:1.2", "warn"),
        ("me/runner:1-cu128@sha256:" + "a" * 64, "ok"),
    ],
)
def test_an_image_must_be_pinned_and_tell_its_cuda(image, level):
    (found,) = checkup.examine_image(dataclasses.replace(SETTINGS, image=image))
    assert found.level == level


@pytest.mark.parametrize(
    ("ref", "level"),
    [
        ("main", "warn"),
        ("feature/faster", "warn"),
        ("v1.2.0", "ok"),
        ("2026-11-24", "ok"),
        ("refs/tags/stable", "ok"),
        ("0fd6726", "ok"),
        ("0fd67260fd67260fd67260fd67260fd67260fd67", "ok"),
    ],
)
def test_a_branch_is_told_from_a_commit_or_a_release(ref, level):
    settings = dataclasses.replace(SETTINGS, git_url="https://git.example/x.git", git_ref=ref)
    assert checkup.examine_image(settings)[1].level == level


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (405, "ok"), (502, "warn")])
async def test_a_webhook_that_answers_is_there(status, level):
    async def answer(request):
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("HEAD", "/secret-path", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    settings = dataclasses.replace(SETTINGS, webhook_url=f"http://127.0.0.1:{port}/secret-path")
    found = await checkup.examine_webhook(settings)
    await runner.cleanup()
    assert found.level == level
    assert "secret-path" not in str(found)
    gone = await checkup.examine_webhook(settings)
    assert gone.level == "warn"
    assert "does not answer" in gone.detail


async def test_a_provider_that_is_not_reached_fails_with_its_address(provider):
    async def credit_usd():
        raise Unclear("no answer in 60 s")

    provider.credit_usd = credit_usd
    found = (await examined(provider))["vast key"]
    assert found.level == "fail"
    assert "https://console.vast.ai does not answer: no answer in 60 s" in found.detail


async def test_the_mirror_is_told_by_what_it_holds(tmp_path, monkeypatch):
    storage = FolderStorage(tmp_path, reserve_bytes=0)
    empty = await checkup.examine_mirror(storage)
    assert (empty.level, empty.detail) == ("ok", "0 of 9 published files in models/")
    for name in ("RealESRGAN_x4plus.pth", "mine.pth"):
        await storage.write(f"models/{name}", b"weights")
    held = await checkup.examine_mirror(storage)
    assert held.detail == "1 of 9 published files in models/: RealESRGAN_x4plus.pth"

    async def entries(prefix):
        raise StorageError(f"{KEY} may not do this")

    monkeypatch.setattr(storage, "entries", entries)
    trouble = await checkup.examine_mirror(storage)
    assert trouble.level == "warn"
    assert KEY not in str(trouble)

import aiohttp
import pytest

from controller.errors import TooLate
from controller.records import TERMINAL, Actor
from remote_runner.protocol import Facts, from_json
from tests.bot.stage import OTHER, USER
from tests.bot.web.conftest import PUBLIC
from tests.controller.conftest import video

OUTPUT = video(width=640, height=360)


async def finish(house, name="Мой фильм.mp4"):
    """A job that is done, with a result and a clip."""
    job = await house.queued(name, owner=USER)
    await house.tick()
    house.runner.finish(house.machine(), OUTPUT, facts=from_json(Facts, OUTPUT))
    for _ in range(5):
        await house.tick()
    return house.job(job)


def code_of(url):
    return url.rpartition("/")[2]


async def test_a_link_leads_to_the_file_under_its_own_name(site, open_house):
    job = await finish(open_house)
    url = open_house.controller.links.link(job)
    assert url.startswith(f"{PUBLIC}/d/")
    status, body, headers = await site.ask("GET", f"/d/{code_of(url)}")
    assert (status, body) == (200, OUTPUT)
    assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''%D0%9C%D0%BE")
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Referrer-Policy"] == "no-referrer"
    status, body, headers = await site.ask("HEAD", f"/d/{code_of(url)}")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(OUTPUT)))
    status, body, _ = await site.ask("GET", f"/d/{code_of(url)}", headers={"Range": "bytes=5-9"})
    assert (status, body) == (206, OUTPUT[5:10])


async def test_a_link_stays_the_same_while_it_lasts_and_its_code_is_nowhere(site, open_house):
    job = await finish(open_house)
    links = open_house.controller.links
    first = links.link(job)
    open_house.clock.advance(6 * 86400)
    assert links.link(job) == first
    assert links.expires_at(first) == links.expires_at(job)
    kept = open_house.store.links.newest(job.id, "result")
    assert kept.code != code_of(first)
    open_house.clock.advance(86400 + 1)
    later = links.link(job)
    assert later != first
    status, body, _ = await site.ask("GET", f"/d/{code_of(first)}")
    assert status == 410
    assert "никуда не ведёт".encode() in body
    assert b"leads nowhere" in body
    assert (await site.ask("GET", f"/d/{code_of(later)}"))[0] == 200


async def test_a_new_link_ends_the_old_one_and_is_its_owners_to_make(site, open_house):
    job = await finish(open_house)
    links = open_house.controller.links
    old = links.link(job)
    with pytest.raises(TooLate):
        links.renew(job, by=Actor(OTHER))
    new = links.renew(job, by=Actor(USER))
    newer = links.renew(job, by=TERMINAL)
    assert len({old, new, newer}) == 3
    assert [(await site.ask("GET", f"/d/{code_of(each)}"))[0] for each in (old, new, newer)] == [
        410, 410, 200,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/d/", "/d/x", "/d/" + "x" * 24, "/d/../u/x", "/d/https://e.org"]
)
async def test_what_is_no_link_is_not_found(site, path):
    assert (await site.ask("GET", path))[0] == 404


async def test_a_link_to_what_was_removed_says_so(site, open_house):
    job = await finish(open_house)
    url = open_house.controller.links.link(job)
    await open_house.storage.delete(job.output_key)
    assert (await site.ask("GET", f"/d/{code_of(url)}"))[0] == 410


async def test_there_is_nothing_to_link_to_before_the_end(site, open_house):
    job = await open_house.draft()
    links = open_house.controller.links
    assert [links.make(job, what) for what in ("result", "clip", "preview")] == [None] * 3
    with pytest.raises(TooLate):
        links.link(job)


async def test_without_a_public_address_links_are_the_storages_own(house):
    job = await finish(house)
    assert house.controller.links.make(job) is None
    assert house.controller.links.link(job).startswith("file://")
    assert house.controller.links.expires_at(job) is None


async def test_a_bucket_is_redirected_to_with_an_address_that_is_signed_anew(
    bucket_site, b2, session
):
    house = bucket_site.house
    job = await house.draft(owner=USER)
    b2.put("output/a_x2.mp4", OUTPUT)
    house.store._db.run("UPDATE jobs SET output_key = 'output/a_x2.mp4' WHERE id = :i", i=job.id)
    url = house.controller.links.link(house.job(job))
    status, body, headers = await bucket_site.ask("GET", f"/d/{code_of(url)}")
    assert (status, body) == (302, b"")
    assert headers["Location"].startswith(b2.url)
    assert headers["Cache-Control"] == "no-store"
    async with session.get(aiohttp.typedefs.URL(headers["Location"], encoded=True)) as answer:
        assert await answer.read() == OUTPUT
        assert "attachment" in answer.headers["Content-Disposition"]
    house.clock.advance(3700)
    async with session.get(aiohttp.typedefs.URL(headers["Location"], encoded=True)) as answer:
        assert answer.status == 403
    house.clock.advance(-3700)
    signed = house.storage.link("output/a_x2.mp4")
    assert house.controller.links.expires_at(signed) > house.clock() - 10 * 365 * 86400

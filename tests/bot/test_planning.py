import dataclasses
import io

import pytest

from bot.terminal.batch import Batch, show_time
from bot.terminal.console import PlainReporter
from bot.terminal.planning import ask, describe_failure, draw_ranking, find_quotes, show_plan
from bot.terminal.sources import NoSuchSource, find_sources, show_key
from controller.errors import BadPath
from controller.market import Filter, Ranked
from controller.settings import Settings
from remote_runner.protocol import Task
from tests.bot.director import told
from tests.controller.conftest import video
from tests.controller.standins import make_offer
from tests.controller.test_renting import set_settings


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
async def make_batch(rented, texts, output):
    async def make(*names, **facts):
        batch = Batch(rented.controller, PlainReporter(output), texts["en"])
        for name in names:
            await rented.storage.write(f"input/c1/{name}", video(**facts))
        for source in (await find_sources(rented.controller, "input/c1")).sources:
            job = await source.accept(rented.controller, source.name, "en", Task())
            batch.add_job(source, job)
        return batch

    return make


async def test_the_question_has_the_price_and_the_time_of_the_whole(rented, make_batch):
    batch = await make_batch("a.mp4", "b.mp4")
    quotes = await find_quotes(rented.controller, batch, whole=False)
    # twice five minutes at $0.06 an hour, on two machines at once
    assert ask(batch, quotes, rented.controller) == "2 videos, about 5 min, about $0.01. Start?"


async def test_on_one_machine_the_whole_takes_as_long_as_its_parts_together(rented, make_batch):
    batch = await make_batch("a.mp4", "b.mp4", frames=24_000, duration_s=1000.0)
    quotes = await find_quotes(rented.controller, batch, whole=False)
    (seconds,) = {market.best.seconds for market in quotes.values()}
    assert seconds > 60
    for machines, parts in ((1, 2), (2, 1), (4, 1)):
        rented.controller.settings = dataclasses.replace(rented.settings, max_machines=machines)
        minutes = round((300 + seconds * parts) / 60)
        assert f", about {minutes} min, " in ask(batch, quotes, rented.controller)


async def test_nothing_is_asked_of_a_market_where_nothing_is_rented(house, texts, output):
    batch = Batch(house.controller, PlainReporter(output), texts["en"])
    await house.storage.write("input/a.mp4", video())
    (source,) = (await find_sources(house.controller, "input/a.mp4")).sources
    batch.add_job(source, await source.accept(house.controller, "k", "en", Task()))
    assert await find_quotes(house.controller, batch, whole=True) == {}
    show_plan(house.controller, batch, {})
    (line,) = told(output.getvalue())
    assert line[1].startswith("[PLAN] a.mp4: 640x360, 240 frames, about ")
    assert "$" not in line[1]


async def test_work_that_takes_longer_than_allowed_is_refused_before(rented, make_batch, output):
    set_settings(rented, job_timeout_s=0.01)
    batch = await make_batch("a.mp4")
    await find_quotes(rented.controller, batch, whole=False)
    (line,) = told(output.getvalue())
    assert line == ("ERROR", "a.mp4: none of 1 offers fits: time 1")


@pytest.mark.parametrize("failed", list(Filter))
def test_every_reason_to_lose_has_its_words(failed):
    ranked = Ranked(offer=make_offer(), failed=(failed,), seconds=600.0, usd=0.1)
    told = describe_failure(failed, ranked, Settings(provider="vast"))
    assert told.startswith(f"{failed}: ")
    assert len(told) > len(failed) + 2


async def test_a_long_ranking_is_cut_and_still_says_why_others_lost(rented, make_batch):
    rented.provider.market = [
        *(make_offer(id=f"f{n}", machine_id=f"f{n}", name=f"fit {n}") for n in range(40)),
        *(make_offer(id=f"d{n}", usd_per_hour=0.2, name=f"dear {n}") for n in range(30)),
        *(make_offer(id=f"c{n}", cpu_cores=2.0, name=f"few {n}") for n in range(5)),
    ]
    batch = await make_batch("a.mp4")
    (market,) = (await find_quotes(rented.controller, batch, whole=True)).values()
    lines = draw_ranking(market, rented.settings)
    assert sum(line.endswith("  fits") for line in lines) == 12
    assert sum("price: " in line or "cores: " in line for line in lines) == 13
    assert "     … and 28 more that fit" in lines
    assert lines[-1] == "     … and 22 more that do not; removed in all: price 30, cores 5"


async def test_a_short_ranking_is_whole(rented, make_batch):
    rented.provider.market = [
        make_offer(id=f"f{n}", machine_id=f"f{n}", name=f"fit {n}") for n in range(25)
    ]
    batch = await make_batch("a.mp4")
    (market,) = (await find_quotes(rented.controller, batch, whole=True)).values()
    lines = draw_ranking(market, rented.settings)
    assert len(lines) == 26
    assert not any("more" in line for line in lines)


async def test_what_a_host_does_not_tell_is_unknown_in_the_table(rented, make_batch):
    rented.provider.market = [
        make_offer(id="1", gpu_ram_gb=None, cuda=None, reliability=None, duration_s=None)
    ]
    batch = await make_batch("a.mp4")
    (market,) = (await find_quotes(rented.controller, batch, whole=True)).values()
    (row,) = draw_ranking(market, rented.settings)[1:]
    assert "gpu_memory: unknown" in row
    assert "cuda: unknown, the image has 12.8" in row
    assert "reliability: unknown" in row
    assert "duration" not in row  # no limit


async def test_uploads_of_others_are_no_part_of_a_folder(house):
    await house.storage.write("input/c1/a.mp4", video())
    await house.storage.write("input/uploads/01M/chat.mp4", video())
    found = await find_sources(house.controller, "input")
    assert [source.shown for source in found.sources] == ["input/c1/a.mp4"]
    named = await find_sources(house.controller, "input/uploads/01M")
    assert [source.name for source in named.sources] == ["chat.mp4"]


async def test_a_key_in_a_bucket_is_shown_with_the_bucket(house):
    assert show_key(house.controller, "input/a.mp4") == "input/a.mp4"
    house.controller.settings = dataclasses.replace(
        house.settings, storage="s3", b2_bucket="videos"
    )
    assert show_key(house.controller, "input/a.mp4") == "b2://videos/input/a.mp4"


async def test_another_bucket_is_named_as_the_mistake(house, monkeypatch):
    async def stored_videos(given):
        raise BadPath("'other' is not the bucket in use, 'videos'")

    monkeypatch.setattr(house.controller, "stored_videos", stored_videos)
    with pytest.raises(NoSuchSource, match="'other' is not the bucket in use"):
        await find_sources(house.controller, "b2://other/input/c1")
    with pytest.raises(NoSuchSource, match="no such file or folder"):
        await find_sources(house.controller, "../c1")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_times_are_shown_as_clocks_do(seconds, shown):
    assert show_time(seconds) == shown

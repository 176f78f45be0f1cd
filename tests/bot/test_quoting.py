import asyncio

import pytest

from controller.errors import StorageError, Unclear
from tests.bot.stage import Stage, buttons
from tests.bot.taps import tap_card


def make_plan(stage, monkeypatch, *faults):
    """A market whose first answers are these errors; how often it was asked."""
    asked = []
    real = stage.house.controller.plan
    left = list(faults)

    async def plan(job, task=None):
        asked.append(job.task)
        if left:
            raise left.pop(0)
        return await real(job, task)

    monkeypatch.setattr(stage.house.controller, "plan", plan)
    return asked


async def test_a_card_asks_once_and_shows_the_answer(rented, bot_settings, monkeypatch):
    stage = Stage(rented, bot_settings)
    asked = make_plan(stage, monkeypatch)
    async with stage.showing():
        job = await stage.plan()
        await stage.until(stage.shows(job, "Машина: RTX 3060, 0,06 $/ч"))
        for _ in range(5):
            stage.notifier.poke(job.id)
            await asyncio.sleep(0.01)
        assert len(asked) == 1
        rented.clock.advance(601)
        stage.notifier.poke(job.id)
        await stage.until(lambda: len(asked) == 2)
        await tap_card(stage, job, "×4")
        await stage.until(lambda: len(asked) == 3)
    assert asked[-1].scale == 4


@pytest.mark.parametrize("error", [Unclear("no"), StorageError("no"), RuntimeError("a bug")])
@pytest.mark.parametrize("passes_s", [61, -7200], ids=["a minute later", "the clock was set back"])
async def test_trouble_with_a_quote_leaves_the_card_and_is_not_repeated_at_once(
    rented, bot_settings, monkeypatch, error, passes_s
):
    stage = Stage(rented, bot_settings)
    asked = make_plan(stage, monkeypatch, error)
    async with stage.showing():
        job = await stage.plan()
        await stage.until(lambda: asked)
        await stage.until(stage.shows(job, "уточняю цены"))
        for _ in range(5):
            stage.notifier.poke(job.id)
            await asyncio.sleep(0.01)
        assert len(asked) == 1
        assert "Старт" in buttons(stage.card_of(job))
        rented.clock.advance(passes_s)
        stage.notifier.poke(job.id)
        await stage.until(stage.shows(job, "Машина: RTX 3060"))


async def test_a_market_that_is_silent_is_said_to_be(rented, bot_settings):
    async def offers(need):
        raise Unclear("no answer")

    rented.provider.offers = offers
    stage = Stage(rented, bot_settings)
    async with stage.showing():
        job = await stage.plan()
        await stage.until(stage.shows(job, "Узнать нынешние цены не удалось"))
        assert await tap_card(stage, job, "Старт") == "Поехали!"

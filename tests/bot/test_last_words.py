"""What a job's end is told through: bugs and refusals that meet the last edit of its card."""

import pytest

from tests.bot.test_notifier import finish, running


@pytest.mark.timeout(30)  # an end that is dropped leaves its chat no rest
async def test_a_card_that_cannot_be_drawn_keeps_no_result_from_its_owner(stage, monkeypatch):
    async def fail(bot, exhibit):
        raise ValueError("a bug in a card")

    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        monkeypatch.setattr(stage.notifier._board, "show", fail)
        await finish(stage, job)
        await stage.until(lambda: stage.session.named("sendVideo"))
        await stage.until(lambda: stage.house.controller.card(job.id).finished)
    assert len(stage.session.named("sendVideo")) == 1

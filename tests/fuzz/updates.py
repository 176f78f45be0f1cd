"""Updates that no Telegram sends, some at once, into the whole bot, in virtual time.

All are handled, the bot goes on, and whatever was not understood was refused in silence or in
words for people. Pressed buttons carry data of real ones, bent, or made by the grammar of it.
"""

import asyncio
import functools
import itertools
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bot.feed.inbox import Inbox, Limits
from bot.feed.poller import Backoff
from bot.handlers.errors import tell_crash
from bot.settings import BotSettings
from bot.texts import Texts
from tests.bot.stage import ADMIN, OTHER, TOKEN, USER, Stage
from tests.bot.updates import resolve, updates
from tests.bot.virtual_time import VirtualLoop
from tests.controller.conftest import Clock, House
from tests.controller.standins import ScriptedProvider
from tests.fuzz.tally import Kind, Tally

#: Each example meets what those before it left, so a failure is told as it is, not made smaller.
ODD = settings(
    deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
_QUICK = Limits(retry_s=0.001, drain_s=0.3, backoff=Backoff(first_s=0.001, longest_s=0.002))
_LISTS_A_STAGE = 50
_SETTLE_S = 0.05


class Errors(logging.Handler):
    """Keeps what was logged as an error, but for updates that nobody could read."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self.unreadable = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if "cannot be read" in text:
            self.unreadable += 1
        else:
            self.lines.append(text)


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    numbers = list(numbers)
    people = BotSettings(token=TOKEN, admins=frozenset({ADMIN}), users=frozenset({USER, OTHER}))
    for start in range(0, len(numbers), _LISTS_A_STAGE):
        house = House(folder / f"house-{start}", Clock(), ScriptedProvider())
        stage = Stage(house, people)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            for number in numbers[start : start + _LISTS_A_STAGE]:
                with tally.case(number) as case:
                    bodies = draw(number)
                    case.told = json.dumps(bodies, default=str)[:2000]
                    errors = take(stage, runner, bodies)
                    assert not errors.lines, errors.lines[0]
                    if errors.unreadable:
                        case.refuse("cannot be read")
                    else:
                        case.accept()
        house.store.close()


def take(stage: Stage, runner: asyncio.Runner, bodies: list) -> Errors:
    """All of them are handled; what was logged meanwhile."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        runner.run(handle(stage, bodies))
    finally:
        logging.getLogger().removeHandler(errors)
    return errors


def draw(number: int) -> list:
    """The list of this number; the first example of a seed is always the simplest one."""
    drawn: list[list] = []

    @seed(number)
    @settings(ODD, max_examples=2)
    @given(bodies=st.lists(updates(), min_size=1, max_size=8))
    def keep(bodies):
        drawn.append(bodies)

    keep()
    return drawn[-1]


def known_data(stage: Stage) -> tuple[str, ...]:
    """Callback data of every button that is or was on screen."""
    found = set()
    for call in stage.session.calls:
        markup = getattr(call, "reply_markup", None)
        for row in getattr(markup, "inline_keyboard", None) or ():
            found |= {button.callback_data for button in row if button.callback_data}
    return tuple(sorted(found))


async def handle(stage: Stage, bodies: list) -> None:
    """Through the inbox, as they would come, until none waits any more."""
    controller = stage.house.controller
    give_up = functools.partial(
        tell_crash, stage.bot, controller=controller, texts=Texts(), settings=stage.settings
    )
    known = known_data(stage)
    numbers = itertools.count(controller.inbox_offset() or 1)
    inbox = Inbox(stage.bot, stage.dispatcher, controller, give_up, _QUICK)
    controller.inbox_add([
        (number, json.dumps({"update_id": number, **resolve(body, known)}))
        for number, body in zip(numbers, bodies, strict=False)
    ])  # fmt: skip
    async with stage.showing():
        working = asyncio.create_task(inbox.run())
        try:
            await stage.until(lambda: not controller.inbox_pending(), limit_s=20)
            await asyncio.sleep(_SETTLE_S)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


KINDS = (Kind(name="updates", count=1500, quick=0, run=run, parts=3, must_accept=0.5),)

"""People who send clips, press buttons and change their minds, as many jobs as are wanted."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.sandbox.errors import RefusedError
from bot.sandbox.views import Message
from bot.texts import Texts
from tests.chaos.deployment import PEOPLE, Deployment
from tests.chaos.screen import ENDED, Screen, find_data, is_sample
from tests.e2e.chatting import is_result, make_tiny

CRASHED = Texts()["en"]("crashed")
_PRESS_AGAIN_S = 15.0
#: Videos that one person sends in a moment become a batch: here each is to have a card of its own.
_APART_S = 3.0
_SAMPLE_S = 40.0


class Wish(StrEnum):
    """What somebody means to do with a video."""

    START = "start"
    SAMPLE = "sample"
    DROP = "drop"
    """Cancelled before it is started."""
    CANCEL = "cancel"
    """Cancelled after it was started."""


WEIGHTS = {Wish.START: 70, Wish.SAMPLE: 10, Wish.DROP: 8, Wish.CANCEL: 12}


@dataclass(slots=True)
class Errand:
    """One video that was sent, and what became of it as far as its sender sees."""

    user: int
    wish: Wish
    sent: Message
    ended: bool = False


class Crowd:
    """Keeps ``size`` videos under way until :meth:`close`."""

    def __init__(
        self, deployment: Deployment, screen: Screen, rng: random.Random, size: int
    ) -> None:
        self.errands: list[Errand] = []
        self._deployment = deployment
        self._screen = screen
        self._rng = rng
        self._size = size
        self._clips: list[Path] = []
        self._persons = []
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed = False

    async def gather(self) -> None:
        """People enter their chats, with clips of half a second to one."""
        home = self._deployment.home / "clips"
        self._clips = [
            make_tiny(home / f"{n}.mp4", seconds=0.5 + n * 0.1, seed=n) for n in range(6)
        ]
        driver = self._deployment.driver
        for number in PEOPLE:
            self._persons.append(await driver.person(number, f"P{number}", language_code="en"))

    async def run(self) -> None:
        """Until closed and every errand that was begun is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._keep_sending())

    def close(self) -> None:
        """Nobody sends anything more."""
        self._closed = True

    async def _keep_sending(self) -> None:
        while not self._closed:
            await asyncio.sleep(self._rng.uniform(0, 2))
            await self._go()

    async def _go(self) -> None:
        person = self._rng.choice(self._persons)
        wish = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        async with self._turns[person.id]:
            sent = await person.chat.send_video(self._rng.choice(self._clips), as_document=True)
            await asyncio.sleep(_APART_S)
        errand = Errand(person.id, wish, sent)
        self.errands.append(errand)
        patience_s = self._rng.uniform(0, 8)
        sampled = wish is not Wish.SAMPLE
        while not (answer := self._find_end(sent)):
            card = self._screen.card(sent)
            if card is None:
                await self._screen.until(lambda: self._screen.card(sent), 5)
                continue
            if find_data(card, "j:start:") and wish is Wish.DROP:
                await self._press(errand, card, "j:ask:")
            elif find_data(card, "j:start:") and not sampled:
                await self._press(errand, card, "j:sample:")
                await self._screen.until(lambda: self._has_sample(sent), _SAMPLE_S)
                sampled = True
            elif find_data(card, "j:start:"):
                await self._press(errand, card, "j:start:")
            elif wish is Wish.CANCEL and (find_data(card, "j:yes:") or find_data(card, "j:ask:")):
                await asyncio.sleep(patience_s)
                patience_s = 0.0
                card = self._screen.card(sent)
                sure = find_data(card, "j:yes:")
                await self._press(errand, card, "j:yes:" if sure else "j:ask:")
            else:
                await self._screen.until(lambda: self._find_end(sent), 5)
        errand.ended = answer is not None

    def _find_end(self, sent: Message) -> Message | None:
        for each in self._screen.answers(sent):
            if is_result(each) or each.text.startswith(ENDED) or each.text == CRASHED:
                return each
        return None

    def _has_sample(self, sent: Message) -> bool:
        card = self._screen.card(sent)
        samples = [m for m in self._screen.answers(sent) if is_sample(m)]
        return bool(samples) or card is None or find_data(card, "j:start:") is None

    async def _press(self, errand: Errand, card: Message, prefix: str) -> None:
        """Press, and wait for the card to change; what gets no answer is pressed again."""
        data = find_data(card, prefix)
        if data is None:
            return
        try:
            await self._deployment.driver.press_raw(errand.user, card.chat_id, card.id, data)
        except RefusedError:
            return  # the message is another by now
        await self._screen.until(lambda: self._has_changed(card, data), _PRESS_AGAIN_S)

    def _has_changed(self, card: Message, data: str) -> bool:
        now = self._screen.messages.get((card.chat_id, card.id))
        return now is None or find_data(now, data) is None

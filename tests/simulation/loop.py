"""An event loop in virtual time whose ready callbacks run in an order that a seed chooses."""

import asyncio
import contextvars
import random

from tests.bot.virtual_time import VirtualLoop

#: Which life of the program a task belongs to; None outside of it. Tasks inherit it.
LIFE = contextvars.ContextVar("life", default=None)


#: More than a whole run needs at any one moment.
_MOST_TURNS = 5_000


class NoTimePasses(Exception):
    """The program goes on and on at one moment: outside of here it would use up a processor."""


class SimTask(asyncio.Task):
    """Knows its number and its life. By its number it lies in sets, so that no order depends on
    where in memory a task is."""

    def __init__(self, coroutine, *, loop, number, life, context=None):
        self.number = number
        self.life = life
        super().__init__(coroutine, loop=loop, context=context)

    def __hash__(self):
        return self.number


class SimLoop(VirtualLoop):
    """With ``rng`` None callbacks run in the order in which they became ready."""

    def __init__(self, rng: random.Random | None = None) -> None:
        super().__init__()
        self._rng = rng
        self._number = 0
        self._moment, self._turns = 0.0, 0
        self._outside = contextvars.Context()
        self._lives: dict[object, dict[int, SimTask]] = {}
        self.set_task_factory(SimLoop._make_task)

    def spawn(self, coroutine) -> SimTask:
        """A task of the world outside, whoever asks for it: it outlives the program."""
        return self.create_task(coroutine, context=self._outside.copy())

    def tasks_of(self, life) -> list[SimTask]:
        """Those that have not ended, the oldest first."""
        return [task for task in self._lives.get(life, {}).values() if not task.done()]

    def forget(self, life) -> None:
        self._lives.pop(life, None)

    def run_to_end(self, coroutine):
        """Run this, and then nothing more of what it began."""
        try:
            return self.run_until_complete(coroutine)
        finally:
            self.run_until_complete(_end_all())
            self.run_until_complete(self.shutdown_asyncgens())
            self.close()

    def stall(self, seconds: float) -> None:
        """So much time passes, and nothing runs."""
        self.now += seconds

    def _make_task(self, coroutine, context=None):
        self._number += 1
        life = context.get(LIFE) if context is not None else LIFE.get()
        task = SimTask(coroutine, loop=self, number=self._number, life=life, context=context)
        if life is not None:
            self._lives.setdefault(life, {})[task.number] = task
            task.add_done_callback(self._drop)
        return task

    def _drop(self, task: SimTask) -> None:
        self._lives.get(task.life, {}).pop(task.number, None)

    def _run_once(self):
        self._turns = self._turns + 1 if self._moment == self.now else 0
        self._moment = self.now
        if self._turns > _MOST_TURNS:
            self._turns = 0
            raise NoTimePasses(f"{_MOST_TURNS} turns of the loop at {self.now:.1f} s")
        # the order among callbacks that are ready together is nobody's promise but the loop's own
        if self._rng is not None and len(self._ready) > 1:
            ready = list(self._ready)
            self._rng.shuffle(ready)
            self._ready.clear()
            self._ready.extend(ready)
        super()._run_once()


async def _end_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)

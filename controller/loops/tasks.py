"""Tasks beside the passes of a loop, at most one for each key."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Tasks(Generic[Key]):
    """What they raise is theirs to tell: nobody looks at their results."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[None]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._running

    def start(self, key: Key, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin it, unless there is one for this key."""
        if key not in self._running:
            task = self._running[key] = asyncio.create_task(work())
            task.add_done_callback(functools.partial(self._forget, key))

    async def settle(self) -> None:
        """Wait for all that are under way."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Drop all that are under way."""
        for task in self._running.values():
            task.cancel()
        await self.settle()

    def _forget(self, key: Key, _: asyncio.Task[None]) -> None:
        self._running.pop(key, None)

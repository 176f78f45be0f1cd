"""A bounded queue between two threads that carries failures too, in both directions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Abandoned(Exception):
    """The other side of a belt does not want any more."""


class Belt(Generic[Item]):
    """One thread puts, one iterates. Whoever ends first, for whatever reason, frees the other."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._abandoned = False
        self._failure: BaseException | None = None

    def put(self, item: Item) -> None:
        """Hand over one item, waiting for room; :class:`Abandoned` when nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._capacity)
            if self._abandoned:
                raise Abandoned
            self._items.append(item)
            self._changed.notify_all()

    def close(self, failure: BaseException | None = None) -> None:
        """No more items will come; a failure is raised on the other side after those that did."""
        with self._changed:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self) -> None:
        """No more items are wanted."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: bool(self._items) or self._closed or self._abandoned
                )
                if not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class Worker:
    """A thread that remembers what ended it."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self.failure: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except Abandoned:
            pass
        except BaseException as error:  # handed to whoever joins
            self.failure = error


def feed(belt: Belt[Item], items: Iterable[Item]) -> None:
    """Put all items on a belt and close it, with the failure if there was one."""
    try:
        for item in items:
            belt.put(item)
    except Abandoned:
        belt.close()
    except BaseException as error:
        belt.close(error)
        raise
    else:
        belt.close()

"""What a line of the log is about: its job, attempt, machine and chat, kept beside the call.

A step of a loop says once whose step it is; every line that is logged inside, by whichever module
and in whichever task it starts, has the ids of it.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import ParamSpec, TypeVar, cast

from controller.records import Attempt, Event, Job, Machine

P = ParamSpec("P")
R = TypeVar("R")

Id = str | int

_NONE: Mapping[str, Id] = MappingProxyType({})
_ids: ContextVar[Mapping[str, Id]] = ContextVar("log_ids", default=_NONE)


def current_ids() -> Mapping[str, Id]:
    """In a fixed order: job, attempt, machine, chat."""
    return _ids.get()


@contextmanager
def log_ids(*records: object, **ids: Id) -> Iterator[None]:
    """Lines inside are about these records, beside what they were about before."""
    token = _ids.set(_merge(records, ids))
    try:
        yield
    finally:
        _ids.reset(token)


def note_ids(*records: object, **ids: Id) -> None:
    """From here on to the end of the step, or of the task, lines are about these too."""
    _ids.set(_merge(records, ids))


def logged(step: Callable[P, R]) -> Callable[P, R]:
    """For a step, a coroutine or not: its lines are about the records among its arguments."""
    if inspect.iscoroutinefunction(step):

        @functools.wraps(step)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> object:
            with log_ids(*args, *kwargs.values()):
                return await step(*args, **kwargs)

        return cast("Callable[P, R]", run_async)

    @functools.wraps(step)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with log_ids(*args, *kwargs.values()):
            return step(*args, **kwargs)

    return run


class IdFilter(logging.Filter):
    """Gives each record that passes the ids of the step that logged it, as ``ids``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.ids = current_ids()
        return True


def _merge(records: tuple[object, ...], ids: Mapping[str, Id]) -> Mapping[str, Id]:
    found: dict[str, Id] = dict(_ids.get())
    for record in records:
        found |= _name(record)
    found |= ids
    return {name: found[name] for name in ("job", "attempt", "machine", "chat") if name in found}


def _name(record: object) -> dict[str, Id]:
    match record:
        case Job():
            return {"job": record.id}
        case Attempt():
            return {"job": record.job, "attempt": record.number, "machine": record.machine}
        case Machine():
            return {"machine": record.id}
        case Event():
            return {"job": record.job}
    return {}

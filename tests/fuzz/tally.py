"""What came of many inputs: how each was answered, how long it took, and how to see one again."""

import logging
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: Whatever takes longer than this is called a hang. Seconds.
LONGEST_S = 10.0
#: A task of aiohttp's own, which nobody waits for when an answer comes before all was sent.
_NOISE = "coro=<ClientRequest.write_bytes()"
_MANY = 50
"""Inputs of which shares mean something."""
_ENOUGH = 20
"""Failures after which a run goes no further."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Inputs of one sort, each made by its number alone.

    ``run(tally, numbers, folder)`` tries some of them and enters each with :meth:`Tally.case`.
    """

    name: str
    count: int
    quick: int
    """How many of them the quick tests try."""
    run: Callable[["Tally", Iterable[int], Path], None]
    parts: int = 1
    """Into how many tests the slow run divides them."""
    must_accept: float = 0.0
    """The least share of right results: less would mean that the inputs are mere noise."""
    must_refuse: float = 0.0

    def numbers(self, part: int) -> range:
        return range(part, self.count, self.parts)


@dataclass
class Case:
    """One input."""

    number: int
    rng: random.Random
    told: str = ""
    """What it was, for whoever has to find out why it failed."""
    reason: str | None = None
    """Why it was refused."""
    right: bool = False
    seconds: float | None = None
    """How long it took, where that is not how long the case was open."""

    def refuse(self, reason: object) -> None:
        self.reason = str(reason)

    def accept(self) -> None:
        self.right = True


@dataclass
class Tally:
    """Counts, and failures in words."""

    kind: str
    inputs: int = 0
    right: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: int | None = None
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def case(self, number: int):
        """Enters one input: it was refused or accepted, in time, with nothing bad in the log."""
        if len(self.failures) >= _ENOUGH:
            raise TooManyFailures(self)
        case = Case(number, random.Random(f"{self.kind} {number}"))
        began_s = time.perf_counter()
        with _listen() as complaints:
            try:
                yield case
                self._judge(case, complaints)
            except Exception:
                self._fail(case, traceback.format_exc())
        seconds = time.perf_counter() - began_s if case.seconds is None else case.seconds
        if seconds > LONGEST_S:
            self._fail(case, f"it took {seconds:.1f} s")
        self.inputs += 1
        self.right += case.right
        if case.reason is not None:
            self.refused[case.reason] += 1
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, number

    def check(self, kind: Kind, wanted: int) -> None:
        """AssertionError with every failure, or where the inputs were not what they should be."""
        assert not self.failures, "\n\n".join(self.failures)
        assert self.inputs == wanted, f"{self.inputs} inputs, not {wanted}"
        if wanted >= _MANY:
            assert self.right >= kind.must_accept * wanted, self
            assert self.refused.total() >= kind.must_refuse * wanted, self

    def add(self, other: "Tally") -> None:
        self.inputs += other.inputs
        self.right += other.right
        self.refused += other.refused
        self.failures += other.failures
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest

    def _judge(self, case: Case, complaints: list[str]) -> None:
        assert not complaints, f"in the log: {complaints[0]}"
        assert case.right != (case.reason is not None), "it is neither right nor refused"

    def _fail(self, case: Case, why: str) -> None:
        self.failures.append(
            f"{self.kind} {case.number}: {case.told}\n{why.strip()}\n"
            f"see it again: {Path(sys.executable).name} -m tests.fuzz {self.kind} {case.number}"
        )


class TooManyFailures(AssertionError):
    """There is nothing to be learnt from more of them."""

    def __init__(self, tally: Tally) -> None:
        super().__init__("\n\n".join(tally.failures))


class _Complaints(logging.Handler):
    """Errors, and whatever was logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.name == "asyncio":
            text = self.format(record)
            if _NOISE not in text:
                self.found.append(text)


@contextmanager
def _listen():
    handler = _Complaints()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.found
    finally:
        logging.getLogger().removeHandler(handler)

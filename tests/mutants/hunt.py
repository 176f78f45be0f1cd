"""Plants one bug after another, each in a copy of its own, and sees who notices."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.copies import copy_snapshot, take_snapshot
from tests.mutants.mutant import Mutant
from tests.mutants.trial import LOG_FILES, QUICK, Trial, run_tests

_NAMED_S = 300.0
_WIDE_S = 2400.0
_SOUND_S = 1800.0
_MOST_SHAKY = 5
"""Tests that fail without a bug as well: after so many of them nothing can be said."""


class Unsound(Exception):
    """Tests that are to catch bugs fail where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``caught_by`` is the id of a test, empty where the bug survived; ``trouble`` where there
    was no verdict."""

    mutant: Mutant
    seconds: float
    caught_by: str = ""
    named: bool = False
    """Whether it was one of the tests that the catalog names."""
    trouble: str = ""


class Hunt:
    """One snapshot of the tree, and everything that is tried on copies of it."""

    def __init__(self, snapshot: Path, *, jobs: int) -> None:
        self._snapshot = snapshot
        self._jobs = jobs
        self._stopped = threading.Event()

    def check_soundness(self, mutants: Sequence[Mutant]) -> float:
        """Run the named tests where no bug is; seconds, or :class:`Unsound`."""
        named = sorted({each for mutant in mutants for each in mutant.tests})
        trial = run_tests(
            self._snapshot, named, limit_s=_SOUND_S, stop=False, processes=self._jobs
        )
        if not trial.passed:
            raise Unsound(trial.trouble or "\n".join(trial.failed))
        return trial.seconds

    def follow(self, mutants: Sequence[Mutant], say: Callable[[Verdict], None]) -> list[Verdict]:
        """One verdict a bug, in the order of the bugs; ``say`` has each as it comes."""
        mouth = threading.Lock()

        def try_and_say(mutant: Mutant) -> Verdict | None:
            if self._stopped.is_set():
                return None
            verdict = self._try(mutant)
            with mouth:
                say(verdict)
            return verdict

        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                return [each for each in pool.map(try_and_say, mutants) if each]
            except BaseException:
                self._stopped.set()
                raise

    def _try(self, mutant: Mutant) -> Verdict:
        with self._copy() as copy:
            mutant.plant(copy)
            return self._judge(mutant, copy)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="copy-", dir=self._snapshot.parent))
        try:
            copy_snapshot(self._snapshot, folder / "tree")
            yield folder / "tree"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _judge(self, mutant: Mutant, copy: Path) -> Verdict:
        first = run_tests(copy, mutant.tests, limit_s=_NAMED_S)
        if not first.passed:
            return _verdict(mutant, first, first.seconds, named=True)
        seconds, shaky = first.seconds, list[str]()
        while len(shaky) < _MOST_SHAKY:
            wide = run_tests(
                copy, ["tests"], limit_s=_WIDE_S, marks=QUICK, leave_out=[*mutant.tests, *shaky]
            )
            seconds += wide.seconds
            if wide.passed or wide.trouble or self._passes_without(wide):
                return _verdict(mutant, wide, seconds, named=False)
            shaky += wide.failed
        return Verdict(mutant=mutant, seconds=seconds, trouble=f"shaky: {', '.join(shaky)}")

    def _passes_without(self, trial: Trial) -> bool:
        """Whether what failed is the bug's doing."""
        if trial.failed == (LOG_FILES,):
            return True  # it is no test that could be run by itself
        with self._copy() as copy:
            return run_tests(copy, trial.failed, limit_s=_NAMED_S).passed


@contextmanager
def open_hunt(root: Path, *, jobs: int) -> Iterator[Hunt]:
    """A hunt on a snapshot of ``root``; all copies are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        snapshot = Path(folder).resolve() / "tree"
        take_snapshot(root, snapshot)
        yield Hunt(snapshot, jobs=jobs)


def _verdict(mutant: Mutant, trial: Trial, seconds: float, *, named: bool) -> Verdict:
    return Verdict(
        mutant=mutant,
        seconds=seconds,
        caught_by=trial.failed[0] if trial.failed else "",
        named=named and bool(trial.failed),
        trouble=trial.trouble,
    )

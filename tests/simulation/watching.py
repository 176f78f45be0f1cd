"""What the rows say, kept up to date from their own changes: quick to ask at every step."""

from collections import Counter, defaultdict
from collections.abc import Callable

from controller.labels import Label
from controller.states import (
    ATTEMPT_MOVES,
    JOB_MOVES,
    MACHINE_MOVES,
    AttemptState,
    JobState,
    MachineState,
)
from tests.simulation.database import Change

MOVES = {
    "jobs": {str(a): {str(b) for b in to} for a, to in JOB_MOVES.items()},
    "attempts": {str(a): {str(b) for b in to} for a, to in ATTEMPT_MOVES.items()},
    "machines": {str(a): {str(b) for b in to} for a, to in MACHINE_MOVES.items()},
}
#: As what rows begin: a retry and a sample skip the plan card.
BEGINNINGS = {
    "jobs": {JobState.DRAFT, JobState.QUEUED, JobState.HELD},
    "attempts": {AttemptState.ASSIGNED},
    "machines": {MachineState.RENTING},
}


class Watching:
    """``broken`` has a line for each change that must never be; ``moves`` counts the others."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.broken: list[str] = []
        self.moves: Counter[tuple[str, str, str]] = Counter()
        self.states: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """States by table and id."""
        self.history: defaultdict[str, list[str]] = defaultdict(list)
        """All states of a job, one after another."""
        self._tell = tell

    def note(self, change: Change) -> None:
        table, row, before, after, version_before, version_after = change
        self._tell(f"{table[:-1]} {row[-8:]} {before or '-'} → {after}")
        self.states[table][row] = after
        if table == "jobs" and before != after:
            self.history[row].append(after)
        if before is None:
            self.moves[table, "-", after] += 1
            if after not in BEGINNINGS[table]:
                self.broken.append(f"9: a row of {table} began as {after}")
            return
        if version_after <= version_before:
            self.broken.append(f"9: {table} {row} has version {version_after} again")
        if before == after:
            return
        if after not in MOVES[table][before]:
            self.broken.append(f"9: {table} {row} moved from {before} to {after}")
        self.moves[table, before, after] += 1

    def forget(self, read: Callable[[], dict[str, dict[str, str]]]) -> None:
        """The rows were replaced: what they say is read anew."""
        self.states.clear()
        self.states.update(read())

    def machines(self, label: str | None = None) -> tuple[str, ...]:
        """State of the machine behind a label, or of all that are not gone."""
        known = self.states["machines"]
        if label is not None:
            parsed = Label.parse(label)
            return (known.get(parsed.machine, "none") if parsed else "none",)
        found = sorted({each for each in known.values() if each != "gone"})
        return tuple(found) or ("none",)

    def attempts(self, job: str | None = None, number: int | None = None) -> tuple[str, ...]:
        """State of one attempt, or of all that are open."""
        known = self.states["attempts"]
        if job is not None:
            return (known.get(f"{job}/{number}", "none"),)
        found = sorted({each for each in known.values() if each in ("assigned", "running")})
        return tuple(found) or ("none",)

    def jobs(self, *_: object) -> tuple[str, ...]:
        """States of all that go on."""
        ended = ("done", "failed", "cancelled")
        found = sorted({each for each in self.states["jobs"].values() if each not in ended})
        return tuple(found) or ("none",)

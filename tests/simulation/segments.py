"""Whether each attempt went on behind all that was safe, by what the machines remember."""

from controller.states import Reason
from remote_runner.protocol import Reason as RunnerReason
from tests.simulation.outside.machines import Work

#: Ends that speak against what was made.
_WRONG = (Reason.BAD_RESULT, RunnerReason.GATE_FAILED)
#: So many jobs back one that repeats them is given what they left.
_MOST_JOBS = 10
#: So long a bucket may not show what was written.
_LAG_S = 25.0


class Segments:
    """``resumed`` counts attempts that went on behind something."""

    def __init__(self, world) -> None:
        self.resumed = 0
        self._world = world
        self._written_at: dict[tuple[str, int], float] = {}
        """When the grant of an attempt was written that its machine has read."""

    def check(self) -> None:
        """Look at the attempts that were begun since the last time."""
        for key, work in self._world.machines.works.items():
            if key in self._written_at:
                continue
            versions = self._world.objects.objects.get(f"jobs/{key[0]}/{key[1]}/grant", ())
            written_at = min((each.modified_at for each in versions), default=0.0)
            self._written_at[key] = written_at
            self.resumed += bool(work.given)
            missing = self._find_safe(work, written_at) - work.given
            if missing:
                self._world.invariants.note(
                    10, f"job {key[0]} attempt {key[1]} began before {sorted(missing)}"
                )

    def _find_safe(self, work: Work, before: float) -> set[int]:
        """What lay there when the grant was written, from attempts nothing speaks against."""
        safe: set[int] = set()
        job, below, looked = work.job, work.attempt, 0
        while job is not None and looked < _MOST_JOBS:
            rows = self._world.rows(
                """SELECT a.number, a.reason, j.predecessor, j.sample_of
                   FROM jobs j LEFT JOIN attempts a ON j.id = a.job AND a.number < ?
                   WHERE j.id = ? ORDER BY a.number DESC""",
                below,
                job,
            )
            if not rows or rows[0]["sample_of"] is not None:
                return safe
            looked += rows[0]["number"] is not None
            for row in rows:
                if row["reason"] in _WRONG:
                    return safe
                earlier = self._world.machines.works.get((job, row["number"]))
                if earlier is not None:
                    safe |= {n for n, at in earlier.left.items() if at + _LAG_S < before}
            job, below = rows[0]["predecessor"], 1 << 30
        return safe

"""The promises of the design, checked at every step and at the end of a run.

Each line that is found begins with the number of its promise in the design:

1. A machine that nothing wants any more is gone within 5 minutes of healthy API; with the
   controller dead for good, within its expiry and 10 minutes.
2. At most one live instance per label, and one machine per attempt; never more than the cap.
3. Every accepted job reaches exactly one terminal state by its deadline and 10 minutes of healthy
   API.
4. One publication per job; a done job's object exists with the recorded size and hash.
5. Billed ≤ reserved ≤ cap, at every step.
6. Each event reaches its chat at least once, in order, at most one duplicate per crash. No update
   is lost.
7. The same update twice makes one job. Cancel before done is never followed by done.
8. What is foreign is never touched.
9. Secrets are nowhere but in the settings; only legal moves, and versions that grow.
10. Nothing unforeseen happens, and after the last fault everything comes to rest.
"""

import math

from tests.simulation.health import Health
from tests.simulation.holdings import Holdings
from tests.simulation.money import Money
from tests.simulation.process import is_death
from tests.simulation.segments import Segments
from tests.simulation.stages import Stages
from tests.simulation.surprises import Surprises

_SLACK_S = 600.0
#: A pass of the loops, and the way of a call.
_MARGIN_S = 45.0
#: From the last fault until everything is at rest, beside the time that one attempt may take: an
#: image that never comes, two more tries, and others that wait for the same machine.
_REST_S = 5400.0
_ENDS = "('done', 'failed', 'cancelled')"
_MACHINES = """
    SELECT m.*, a.job, a.assigned_at, a.deadline_at AS ends_at, j.cost_usd,
           j.approved_usd_per_hour, j.approved_usd, j.approved_s, j.cancel_requested_at,
           (SELECT max(w.approved_usd_per_hour) FROM attempts o JOIN jobs w ON w.id = o.job
            WHERE o.machine = m.id) AS agreed_usd_per_hour
    FROM machines m
    LEFT JOIN attempts a ON a.machine = m.id AND a.state IN ('assigned', 'running')
    LEFT JOIN jobs j ON j.id = a.job
"""
_OVERDUE = f"""
    SELECT id, state, deadline_at FROM jobs
    WHERE state NOT IN {_ENDS} AND deadline_at < ?
"""


class Invariants:
    """``broken`` has a line for each promise that was not kept so far."""

    def __init__(self, world) -> None:
        self.broken: list[str] = []
        self.quiet_after_s = 0.0
        """From the last fault until everything was at rest."""
        self.surprises = Surprises(world)
        world.deployment.on_failure = self.note_failure
        self.segments = Segments(world)
        self.stages = Stages()
        world.telegram.on_shown = self.stages.note
        self._world = world
        self.health = Health(world)
        self.money = Money(world)
        self.holdings = Holdings(world, self.health, self.money)
        self._overdue: dict[str, float] = {}
        """For how many healthy seconds a job has been past its deadline."""
        self._calm_since = math.inf

    def note_loop_error(self, loop, context: dict) -> None:
        """Something that nobody caught."""
        error = context.get("exception")
        if not is_death(error):
            self.surprises.note(f"nobody caught: {context['message']}", error)

    def note_failure(self, failure: BaseException) -> None:
        """A life of the program has ended by itself."""
        self.surprises.note("the program ended by itself", failure)

    def begin_calm(self) -> None:
        self._calm_since = self._world.now()

    # --- at every step -------------------------------------------------------------------------

    def check(self) -> None:
        self.health.look()
        rows = {row["id"]: row for row in self._world.rows(_MACHINES)}
        self.holdings.check(rows)
        self.money.check(rows)
        self._check_deadlines()
        self.segments.check()

    def _check_deadlines(self) -> None:
        for row in self._world.rows(_OVERDUE, self._world.now()):
            late_s = self._overdue.get(row["id"], 0.0) + self.health.step_s
            self._overdue[row["id"]] = late_s
            if late_s > _SLACK_S + _MARGIN_S:
                self.note(3, f"job {row['id']} is {row['state']} past its deadline")

    # --- at the end ----------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether nothing goes on any more."""
        world = self._world
        if world.deployment.controller is None or world.vast.alive():
            return False
        if world.telegram.unconfirmed:
            return False
        (left,) = world.rows(
            f"""SELECT
                (SELECT count(*) FROM machines WHERE state != 'gone')
                + (SELECT count(*) FROM jobs WHERE state IN ('held', 'queued', 'running'))
                + (SELECT count(*) FROM updates WHERE handled_at IS NULL)
                + (SELECT count(*) FROM cards c JOIN jobs j ON j.id = c.subject
                   WHERE NOT c.finished AND j.state IN {_ENDS}) AS n"""
        )
        return left["n"] == 0

    def check_quiet(self) -> None:
        """Everything is at rest, and came to it in time."""
        world = self._world
        self.quiet_after_s = world.now() - self._calm_since
        if not self.is_quiet():
            self.note(10, f"not at rest after {self.quiet_after_s:.0f} s: {self._what_moves()}")
        elif self.quiet_after_s > _REST_S + world.settings.job_timeout_s:
            self.note(10, f"at rest only after {self.quiet_after_s:.0f} s")

    def _what_moves(self) -> str:
        world = self._world
        parts = [
            f"{len(world.vast.alive())} alive",
            f"{len(world.telegram.unconfirmed)} updates wait",
        ]
        for table in ("machines", "jobs"):
            states = world.rows(f"SELECT state, count(*) AS n FROM {table} GROUP BY state")
            parts.append(f"{table} {[(row['state'], row['n']) for row in states]}")
        (row,) = world.rows("SELECT count(*) AS n FROM updates WHERE handled_at IS NULL")
        parts.append(f"{row['n']} updates not handled")
        open_cards = world.rows("SELECT subject FROM cards WHERE NOT finished")
        parts.append(f"cards {[row['subject'][-6:] for row in open_cards]}")
        return ", ".join(parts)

    def note(self, number: int, text: str) -> None:
        """A promise was not kept."""
        line = f"{number}: {text}"
        if line not in self.broken:
            self._world.tell(f"BROKEN {line}")
            self.broken.append(line)

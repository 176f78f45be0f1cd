"""The promises of the design, checked at every step and at the end of a run.

Each line that is found begins with the number of its promise in the design:

1. A machine that nothing wants any more is gone within 5 minutes of healthy API; with the
   controller dead for good, within its expiry and 10 minutes.
2. At most one live instance per label; never more than the cap.
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

from controller import policy
from controller.labels import Label
from tests.simulation.faults import Fault
from tests.simulation.process import is_death
from tests.simulation.segments import Segments
from tests.simulation.stages import Stages
from tests.simulation.surprises import Surprises

_HEALTHY_S = 300.0
_SLACK_S = 600.0
#: A pass of the loops, and the way of a call.
_MARGIN_S = 45.0
_SLACK_USD = 1e-6
_ROUNDING_USD = 0.0005
#: From the last fault until everything is at rest, beside the time that one attempt may take: an
#: image that never comes, two more tries, and others that wait for the same machine.
_REST_S = 5400.0
_WANTED = ("renting", "unknown", "booting", "ready", "busy")
_ENDS = "('done', 'failed', 'cancelled')"
#: Without these the API lists and deletes, and the program is there to ask it.
_ILL = [
    each
    for each in Fault
    if each.startswith(("vast_", "list_", "destroy_"))
    or each
    in (
        Fault.CRASH, Fault.POWER_LOSS, Fault.DISK_FULL, Fault.IO_ERROR, Fault.CLOCK_BACK,
        Fault.CLOCK_FORWARD, Fault.STALL, Fault.SECOND_CONTROLLER, Fault.OLD_BACKUP,
    )
]  # fmt: skip
_MACHINES = """
    SELECT m.*, a.job, a.assigned_at, a.deadline_at AS ends_at, j.cost_usd,
           j.approved_usd_per_hour, j.approved_usd, j.approved_s
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
        self.segments = Segments(world)
        self.stages = Stages()
        world.telegram.on_shown = self.stages.note
        self._world = world
        self._ill = 0
        self._healthy_since = world.now()
        self._unwanted: dict[int, float] = {}
        """Since when nothing wants an instance."""
        self._prices: dict[str, float] = {}
        """By label: for how much an hour each machine was to be had."""
        self._calm_since = math.inf

    def note_loop_error(self, loop, context: dict) -> None:
        """Something that nobody caught."""
        error = context.get("exception")
        if not is_death(error):
            self.surprises.note(f"nobody caught: {context['message']}", error)

    def begin_calm(self) -> None:
        self._calm_since = self._world.now()

    def own_labels(self) -> list[Label]:
        """Of all machines that exist and were rented here."""
        parsed = (Label.parse(each.label) for each in self._world.vast.alive())
        return [each for each in parsed if each is not None]

    # --- at every step -------------------------------------------------------------------------

    def check(self) -> None:
        self._judge_health()
        rows = {row["id"]: row for row in self._world.rows(_MACHINES)}
        self._check_machines(rows)
        self._check_money(rows)
        self._check_deadlines()
        self.segments.check()

    @property
    def _healthy_s(self) -> float:
        return self._world.now() - self._healthy_since

    def _judge_health(self) -> None:
        world = self._world
        ill = sum(world.faults.hits[each] for each in _ILL)
        absent = world.deployment.controller is None
        if ill != self._ill or absent or world.clock.offset_s or world.disk.fault is not None:
            self._ill, self._healthy_since = ill, world.now()

    def _check_machines(self, rows: dict[str, dict]) -> None:
        world, now = self._world, self._world.now()
        alive = world.vast.alive()
        known = 0
        for instance in alive:
            label = Label.parse(instance.label)
            row = rows.get(label.machine) if label else None
            known += row is not None and row["state"] != "gone"
            if row is not None and self._is_wanted(row, instance):
                self._unwanted.pop(instance.id, None)
                continue
            since = max(self._unwanted.setdefault(instance.id, now), self._healthy_since)
            if now - since > _HEALTHY_S + _MARGIN_S:
                told = f"{row['state']}, {row['retire_reason']}" if row else "no row"
                self.note(1, f"nothing wants {instance.label} ({told}), and it lives")
        if known > world.settings.max_machines:
            self.note(2, f"{known} machines are more than {world.settings.max_machines}")
        for label, most in world.vast.most_alive.items():
            if most > 1:
                self.note(2, f"{most} instances at once under {label}")

    def _is_wanted(self, row: dict, instance) -> bool:
        now = self._world.now()
        if row["state"] not in _WANTED or now > row["expires_at"]:
            return False
        if row["instance"] is not None and row["instance"] != str(instance.id):
            return False
        if row["job"] is not None:
            return True
        idle = row["idle_since"] and now > row["idle_since"] + self._world.settings.idle_s
        return row["retire_requested_at"] is None and not idle

    def _check_money(self, rows: dict[str, dict]) -> None:
        world, now = self._world, self._world.now()
        if world.clock.offset_s:
            return
        billed: dict[str, float] = {}
        for instance in world.vast.instances.values():
            if not instance.is_foreign:
                usd = instance.billed_usd()
                billed[instance.label] = billed.get(instance.label, 0.0) + usd
                self._prices[instance.label] = instance.offered_usd_per_hour
        for row in rows.values():
            self._prices.setdefault(row["label"], row["usd_per_hour"])
            reserved = max(row["reserved_usd"], _meter_usd(row, now))
            if billed.get(row["label"], 0.0) > reserved + _SLACK_USD:
                usd = billed[row["label"]]
                self.note(5, f"{row['label']}: ${usd:.4f} billed, ${reserved:.4f} reserved")
            if row["job"] is not None and row["state"] in _WANTED:
                self._check_terms(row)
        self._check_day(rows, now)

    def _check_terms(self, row: dict) -> None:
        """Whatever is on a machine is within what the settings, or somebody, allowed for it."""
        settings = self._world.settings
        price = row["approved_usd_per_hour"] or settings.max_price
        if row["usd_per_hour"] > price + _ROUNDING_USD and not self._has_risen(row):
            self.note(5, f"job {row['job']} is on a machine over its price")
        money = row["approved_usd"] or settings.job_budget
        if row["cost_usd"] + row["traffic_usd"] > money + _SLACK_USD:
            self.note(5, f"job {row['job']} costs more than was agreed to")
        limit_s = policy.BOOT_ALLOWANCE_S + (row["approved_s"] or settings.job_timeout_s)
        if row["ends_at"] - row["assigned_at"] > limit_s + 1:
            self.note(5, f"job {row['job']} may run for longer than was agreed to")

    def _check_day(self, rows: dict[str, dict], now: float) -> None:
        world, midnight = self._world, now // 86400 * 86400
        if any(self._has_risen(row) or _is_late(row, now) for row in rows.values()):
            return  # what a host did, or an end that could not be proven, is no decision of ours
        committed = sum(
            max(row["reserved_usd"], _meter_usd(row, now))
            if row["gone_at"] is None
            else _meter_usd(row, now)
            for row in rows.values()
            if row["gone_at"] is None or row["gone_at"] >= midnight
        )
        (agreed,) = world.rows("SELECT coalesce(sum(approved_usd), 0) AS usd FROM jobs")
        if committed > world.settings.day_budget + agreed["usd"] + _SLACK_USD:
            self.note(5, "more is reserved than the day and those who said yes allow")

    def _has_risen(self, row: dict) -> bool:
        return row["usd_per_hour"] > self._prices[row["label"]] + _SLACK_USD

    def _check_deadlines(self) -> None:
        world = self._world
        if self._healthy_s < _SLACK_S:
            return
        for row in world.rows(_OVERDUE, world.now() - _SLACK_S - _MARGIN_S):
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

    def check_dead(self) -> None:
        """With the controller dead for good: every machine that could has ended itself."""
        world = self._world
        for instance in world.vast.alive():
            label = Label.parse(instance.label)
            if instance.runs and not instance.offline and world.machines.is_armed(instance):
                late_s = world.now() - label.expires_at
                self.note(1, f"{instance.label} lives {late_s:.0f} s after its expiry")

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


def _meter_usd(row: dict, now: float) -> float:
    """What a machine has cost by its row."""
    seconds = (row["gone_at"] or now) - row["created_at"]
    return row["usd_per_hour"] * max(0.0, seconds) / 3600 + row["traffic_usd"]


def _is_late(row: dict, now: float) -> bool:
    return row["gone_at"] is None and now > row["expires_at"]

"""Promises 1 and 2: what is rented, and whether anything wants it still."""

from controller.labels import Label
from tests.simulation.health import Health
from tests.simulation.money import Money
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.machines import Work

_HEALTHY_S = 300.0
#: Behind its expiry, for what ends itself.
_SLACK_S = 600.0
#: A pass of the loops, and the way of a call.
_MARGIN_S = 45.0
_WANTED = ("renting", "unknown", "booting", "ready", "busy")


class Holdings:
    """``judged`` counts the looks at something unwanted while the API was healthy;
    ``longest_s`` is the longest that anything unwanted has lived so."""

    def __init__(self, world, health: Health, money: Money) -> None:
        self.judged = 0
        self.longest_s = 0.0
        self._world, self._health, self._money = world, health, money
        self._unwanted: dict[int, float] = {}
        """For how many healthy seconds nothing has wanted an instance."""
        self._away_at: dict[int, float] = {}
        """When an instance was last seen that could not end itself."""
        world.machines.on_begin = self._check_fence

    def expiries(self) -> list[float]:
        """When those that exist are to end by themselves, whatever becomes of the program."""
        parsed = (Label.parse(each.label) for each in self._world.vast.alive())
        return [each.expires_at for each in parsed if each is not None]

    @property
    def left(self) -> int:
        """How many exist that cannot end themselves: they never started, or were stopped."""
        return len(self._world.vast.alive()) if self._world.plan.ends_dead else 0

    def check(self, rows: dict[str, dict]) -> None:
        """Look at all that is rented, by all rows of machines; at every step."""
        world, known = self._world, 0
        for instance in world.vast.alive():
            label = Label.parse(instance.label)
            if label is None:
                self._note(1, f"instance {instance.id} has the label {instance.label!r}")
            row = rows.get(label.machine) if label else None
            known += self._counts(row)
            if row is not None and self._is_wanted(row, instance):
                self._unwanted.pop(instance.id, None)
            else:
                self._judge(instance, row)
        if known > world.settings.max_machines:
            self._note(2, f"{known} machines are more than {world.settings.max_machines}")
        for label, most in world.vast.most_alive.items():
            if most > 1:
                self._note(2, f"{most} instances at once under {label!r}")

    def check_dead(self) -> None:
        """With the program dead for good: what runs under its switch ends itself in time, which
        begins anew where its host was away."""
        world, now = self._world, self._world.now()
        for instance in world.vast.alive():
            label = Label.parse(instance.label)
            if instance.offline or not instance.runs or not world.machines.is_armed(instance):
                self._away_at[instance.id] = now
                continue
            since = max(label.expires_at if label else 0.0, self._away_at.get(instance.id, 0.0))
            if now > since + _SLACK_S:
                self._note(1, f"{instance.label!r} lives long behind its expiry")

    def _counts(self, row: dict | None) -> bool:
        """Whether it is one of those of which there may be so many.

        What comes when its row is gone is the work of a call that was given up, after all its
        time; and of what an old backup does not have nobody can know.
        """
        if row is None:
            return not self._world.computer.replaced
        return row["state"] != "gone"

    def _judge(self, instance: SimInstance, row: dict | None) -> None:
        """Let it be for five minutes in which the API shows it and would end it."""
        world = self._world
        lived_s = self._unwanted.setdefault(instance.id, 0.0)
        if not self._health.step_s or instance.shows_at > world.now() - self._health.step_s:
            return
        self.judged += 1
        lived_s += self._health.step_s
        self._unwanted[instance.id] = lived_s
        self.longest_s = max(self.longest_s, lived_s)
        if lived_s > _HEALTHY_S + _MARGIN_S:
            told = f"{row['state']}, {row['retire_reason']}" if row else "no row"
            self._note(1, f"nothing wants {instance.label} ({told}), and it lives")

    def _is_wanted(self, row: dict, instance: SimInstance) -> bool:
        now = self._world.now()
        if row["state"] not in _WANTED or now > row["expires_at"]:
            return False
        if row["instance"] is not None and row["instance"] != str(instance.id):
            return False
        if self._money.is_overpriced(row, instance):
            return False
        if row["job"] is not None:
            return row["cancel_requested_at"] is None
        idle = row["idle_since"] and now > row["idle_since"] + self._world.settings.idle_s
        return row["retire_requested_at"] is None and not idle

    def _check_fence(self, work: Work, instance: SimInstance) -> None:
        """One machine at an attempt, and that which it was given to."""
        if self._world.computer.replaced:
            return  # an attempt that an old backup does not have is made anew
        rows = self._world.rows(
            """SELECT m.label FROM attempts a JOIN machines m ON m.id = a.machine
               WHERE a.job = ? AND a.number = ?""",
            work.job, work.attempt,
        )  # fmt: skip
        given = [row["label"] for row in rows]
        if given != [instance.label] or work.label != instance.label:
            self._note(
                2, f"attempt {work.job}/{work.attempt} of {given} is worked on by {instance.label}"
            )

    def _note(self, number: int, text: str) -> None:
        self._world.invariants.note(number, text)

"""For how long the API was healthy and the program there: times of the promises are counted so."""

from tests.simulation.faults import Fault

#: Without these the API lists and deletes, and the program is there to ask it. Of calls that are
#: lost only those count that list or delete: the account counts them itself.
_ILL = [
    each
    for each in Fault
    if each.startswith(("list_", "destroy_"))
    or each
    in (
        Fault.CRASH, Fault.POWER_LOSS, Fault.DISK_FULL, Fault.IO_ERROR, Fault.CLOCK_BACK,
        Fault.CLOCK_FORWARD, Fault.STALL, Fault.SECOND_CONTROLLER, Fault.OLD_BACKUP,
    )
]  # fmt: skip
#: Between two looks; more has passed only where the world stood still.
_LONGEST_STEP_S = 10.0


class Health:
    """``seconds`` adds up the steps in which nothing was ill; a bad one stops it for a while only.

    ``step_s`` is what the newest look has added.
    """

    def __init__(self, world) -> None:
        self.seconds = self.step_s = 0.0
        self._world = world
        self._looked_at = world.now()
        self._ill = 0

    def look(self) -> None:
        """At every step."""
        now = self._world.now()
        passed_s = min(now - self._looked_at, _LONGEST_STEP_S)
        self._looked_at = now
        self.step_s = 0.0 if self._is_ill() else passed_s
        self.seconds += self.step_s

    def _is_ill(self) -> bool:
        world = self._world
        before, self._ill = self._ill, self._count_ills()
        return (
            self._ill != before
            or world.deployment.controller is None
            or world.clock.offset_s != 0.0
            or world.disk.fault is not None
            or world.vast.is_unheard
        )

    def _count_ills(self) -> int:
        world = self._world
        return sum(world.faults.hits[each] for each in _ILL) + world.vast.lost_calls

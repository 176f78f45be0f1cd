"""What a run is about beside its own chance: a fault that comes far more often in one state.

Some faults and states seldom meet. Each run has a few of these pairs as its themes, so that many
runs together meet all of them often: the shape of its plan lets the fault happen and the state
come about.
"""

import random
from typing import Any

from tests.simulation.coverage import list_pairs
from tests.simulation.faults import Fault, Theme

_MOST = 4
_PAIRS = tuple(list_pairs())
#: What has to be allowed in a plan for a fault to happen at all.
_ALLOWED_BY: dict[Fault, str] = {
    Fault.WEBHOOK_REFUSED: "with_webhook",
    Fault.POWER_LOSS: "power_losses",
    Fault.DISK_FULL: "disk_faults",
    Fault.IO_ERROR: "disk_faults",
    Fault.CLOCK_FORWARD: "clock_jumps",
    Fault.CLOCK_BACK: "clock_jumps",
    Fault.STALL: "stalls",
    Fault.SECOND_CONTROLLER: "second_controller",
    Fault.OLD_BACKUP: "old_backup",
}
#: Enough for most of what is wanted, without anybody's yes.
_AMPLE = {"max_price": 0.1, "day_budget": 3.0, "job_budget": 1.0}
#: Settings under which a state comes early, or lasts for a while.
_LASTS_BY: dict[str, dict[str, Any]] = {
    "held": {"max_price": 0.02},
    "ready": {"idle_s": 120.0, **_AMPLE},
    "retiring": {"idle_s": 20.0, **_AMPLE},
}
#: Another fault that a state comes from, or lasts by.
_COMES_FROM: dict[str, Theme] = {
    "unknown": (Fault.CREATE_SERVER_ERROR, "renting"),
    "retiring": (Fault.DESTROY_SERVER_ERROR, "retiring"),
}
#: What has to meet a machine in the seconds between its end being wanted and its end.
_SELDOM = tuple(
    (fault, "retiring")
    for fault in (
        Fault.LOGS_FAIL, Fault.HOST_OFFLINE, Fault.STOPPED, Fault.VANISHES, Fault.PRICE_RISES,
    )
)  # fmt: skip
_SELDOM_RATE = 0.35


#: States, and the beginnings of faults, that come only where not too much has failed before.
_LATE_STATES = ("ready", "busy", "retiring")
_LATE_FAULTS = ("result_", "upload_", "part_")
_MOST_RATE = 0.03


def draw_themes(rng: random.Random) -> tuple[Theme, ...]:
    """Some pairs, and what they need."""
    drawn = rng.sample(_PAIRS, _MOST)
    if rng.random() < _SELDOM_RATE:
        drawn.append(rng.choice(_SELDOM))
    needed = [_COMES_FROM[state] for _, state in drawn if state in _COMES_FROM]
    return tuple(dict.fromkeys([*drawn, *needed]))


def find_shape(themes: tuple[Theme, ...]) -> dict[str, bool]:
    """Fields of a plan without which these faults could not happen."""
    return {_ALLOWED_BY[fault]: True for fault, _ in themes if fault in _ALLOWED_BY}


def find_most_rate(themes: tuple[Theme, ...]) -> float:
    """Above this rate of all other faults it is unlikely that these come about."""
    is_late = any(
        state in _LATE_STATES or fault.startswith(_LATE_FAULTS) for fault, state in themes
    )
    return _MOST_RATE if is_late else 1.0


def find_settings(themes: tuple[Theme, ...]) -> dict[str, Any]:
    """Settings of the program under which these states last."""
    found: dict[str, Any] = {}
    for _, state in themes:
        found |= _LASTS_BY.get(state, {})
    return found

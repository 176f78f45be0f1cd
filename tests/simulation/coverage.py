"""What many runs together have to have met, so that their silence means something.

Each fault has to have happened in each state in which it can; each legal move has to have been
made. What is left out is left out for a reason that is written here.
"""

from collections import Counter
from collections.abc import Iterable

from tests.simulation.faults import Fault
from tests.simulation.watching import BEGINNINGS, MOVES

_MACHINE = ("renting", "unknown", "booting", "ready", "busy", "retiring")
_OPEN = ("assigned", "running")
_CLOSED = ("verified", "failed", "lost", "cancelled")
_JOB = ("draft", "held", "queued", "running")
_UP = ("booting", "ready", "busy", "retiring")

#: In which states each fault is counted. Those of machines are of the one that a call is about,
#: or of all that there are where it is about the account; as they are when the fault happens.
STATES: dict[Fault, tuple[str, ...]] = {
    **dict.fromkeys([each for each in Fault if each.startswith("vast_")], _MACHINE),
    **dict.fromkeys([each for each in Fault if each.startswith("list_")], _MACHINE),
    **dict.fromkeys([each for each in Fault if each.startswith("search_")], _MACHINE),
    **dict.fromkeys([each for each in Fault if each.startswith("create_")], ("renting",)),
    **dict.fromkeys([each for each in Fault if each.startswith("destroy_")], ("retiring",)),
    **dict.fromkeys([each for each in Fault if each.startswith("runner_")], _OPEN),
    **dict.fromkeys([each for each in Fault if each.startswith("storage_")], _OPEN),
    **dict.fromkeys([each for each in Fault if each.startswith("telegram_")], _JOB),
    **dict.fromkeys([each for each in Fault if each.startswith("result_")], ("running",)),
    Fault.RUNNER_QUIET: ("assigned",),
    Fault.LIST_HIDES_NEW: ("renting",),
    Fault.LOGS_FAIL: _UP,
    Fault.CREDIT_EXHAUSTED: _MACHINE,
    Fault.NEVER_STARTS: ("renting",),
    Fault.HOST_FAILS: ("renting", "booting"),
    Fault.HOST_OFFLINE: _UP,
    Fault.STOPPED: _UP,
    Fault.VANISHES: _UP,
    Fault.PRICE_RISES: ("renting", *_UP),
    Fault.HOST_CLOCK_SKEW: ("booting",),
    Fault.WATCHDOG_MISSING: ("booting",),
    Fault.UPLOAD_TRUNCATED: ("running",),
    Fault.PART_MISSING: ("running",),
    Fault.URL_EXPIRED: _OPEN,
    Fault.UPDATE_TWICE: _JOB,
    Fault.WEBHOOK_REFUSED: ("ended",),
    Fault.UPDATES_REORDERED: _JOB,
    **dict.fromkeys(
        [
            Fault.CRASH, Fault.POWER_LOSS, Fault.DISK_FULL, Fault.IO_ERROR, Fault.CLOCK_FORWARD,
            Fault.CLOCK_BACK, Fault.STALL, Fault.SECOND_CONTROLLER, Fault.OLD_BACKUP,
        ],
        (*_JOB, *_MACHINE),
    ),
}  # fmt: skip

#: Moves that the table of states allows and that no run makes, each with the reason.
UNSEEN: dict[tuple[str, str, str], str] = {
    ("machines", "busy", "retiring"): (
        "a busy machine has an open attempt; the transaction that ends it makes the machine ready"
    ),
}
#: Of so many runs each pair has to have been met once, and each move been made once.
_RUNS_A_PAIR, _RUNS_A_MOVE = 400, 200


def find_missing(met: Counter, moves: Counter, runs: int) -> list[str]:
    """Pairs and moves that were not met as often as in so many runs they should have been."""
    least = max(1, runs // _RUNS_A_PAIR)
    missing = [
        f"{fault} while {state} ({met[fault, state]} of {least})"
        for fault, state in list_pairs()
        if met[fault, state] < least
    ]
    least = max(1, runs // _RUNS_A_MOVE)
    missing += [
        f"{table} {before} → {after} ({moves[table, before, after]} of {least})"
        for table, before, after in list_moves()
        if moves[table, before, after] < least and (table, before, after) not in UNSEEN
    ]
    return missing


def count_covered(met: Counter, moves: Counter) -> tuple[int, int]:
    """How many pairs and how many moves were met at all."""
    pairs = sum(met[pair] > 0 for pair in list_pairs())
    return pairs, sum(moves[move] > 0 for move in list_moves())


def list_pairs() -> Iterable[tuple[Fault, str]]:
    return [(fault, state) for fault, states in STATES.items() for state in states]


def list_moves() -> Iterable[tuple[str, str, str]]:
    """All that the tables of states allow, and how rows begin."""
    found = [
        (table, before, after)
        for table, moves in MOVES.items()
        for before, afters in moves.items()
        for after in sorted(afters)
    ]
    found += [(table, "-", str(after)) for table, states in BEGINNINGS.items() for after in states]
    return sorted(found)

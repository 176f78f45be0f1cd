"""A machine is hurt in three ways, and each is counted by itself."""

import signal
import subprocess
from types import SimpleNamespace

import psutil
import pytest

from tests.chaos.harm import WAYS, Dose, Harm

#: A leader with a helper in its group, which says when both are there.
MACHINE = "sleep 60 & echo; wait; sleep 60"


class Dice:
    """Chooses ``how`` a machine is hurt, and the last one of its processes."""

    def __init__(self, how):
        self._how = how

    def choice(self, among):
        return self._how if self._how in among else among[-1]


@pytest.fixture
def machine():
    leader = subprocess.Popen(
        ["sh", "-c", MACHINE], stdout=subprocess.PIPE, start_new_session=True
    )
    leader.stdout.readline()
    process = psutil.Process(leader.pid)
    found = [process, *process.children()]
    yield found
    for each in found:
        if each.is_running():
            each.kill()
    leader.wait()
    leader.stdout.close()


@pytest.mark.parametrize(("how", "left"), [("group", []), ("runner", [1]), ("any", [0])])
def test_what_dies_of_a_machine_is_what_is_counted(machine, how, left):
    seen = []
    harm = Harm(SimpleNamespace(note_death=seen.append), None, Dice(how), Dose())
    harm._kill_one(machine)
    gone, alive = psutil.wait_procs([machine[n] for n in (0, 1) if n not in left], timeout=10)
    assert not alive
    assert {-each.returncode for each in gone if each.returncode is not None} <= {signal.SIGKILL}
    assert [n for n in (0, 1) if lives(machine[n])] == left
    assert harm.done == {"runner killed": 1, WAYS[how]: 1}
    assert seen == [machine]


def lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE

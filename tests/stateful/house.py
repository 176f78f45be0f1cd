"""The controller as a state machine: what people ask, what machines do, and what goes wrong.

The service, the loops, SQLite and the folder are real. Hypothesis chooses the steps, and after
each one :class:`~tests.stateful.invariants.Watcher` looks at everything; at the end all comes to
rest.
"""

import shutil
import sys
from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from controller.loops.prune import KEEP_JOB_S
from controller.states import JobState
from remote_runner.protocol import Phase
from tests.stateful.machines import Machines
from tests.stateful.outside import LAG_S
from tests.stateful.people import People
from tests.stateful.stage import ADMIN, WORKING, good_output, numbers

_WAITING = (JobState.QUEUED, JobState.RUNNING, JobState.HELD, JobState.DRAFT)


class HouseMachine(People, Machines):
    """One house from its first job until it is at rest."""

    ends: ClassVar[Counter] = Counter()
    """Of the jobs of all houses of one search."""

    # --- what goes wrong with the provider ---------------------------------------------------

    @rule(number=numbers, fault=st.sampled_from((
        "refused", "lost_request", "lost_answer", "listings", "unclear", "lies", "lag", "price",
    )))  # fmt: skip
    def have_bad_luck(self, number, fault):
        provider = self.provider
        if fault in ("refused", "lost_request", "lost_answer"):
            provider.create_faults.append(fault)
        elif fault == "listings":
            provider.list_faults.extend(["unclear"] * (1 + number % 3))
        elif fault in ("unclear", "lies"):
            provider.destroy_faults.extend([fault] * (1 + number % 3))
        elif fault == "lag" and self.rents:
            # what happens from now on is listed so much later
            provider.lag_s = (0.0, 5.0, LAG_S)[number % 3]
        elif fault == "price" and self.rents and (machine := self.machine(number)):
            (instance,) = provider.of(machine.label)
            provider.bill()
            provider.risen = True
            provider.show(instance.id, usd_per_hour=(instance.usd_per_hour or 0.0) * 1.5)

    # --- time --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.5, 1, 5, 16, 31, 61, 130)), order=st.permutations(range(3)))
    def pass_time(self, seconds, order):
        self.pass_by(seconds, order)

    @rule(seconds=st.sampled_from((1, 10, 30)), times=st.integers(2, 5))
    def pass_times(self, seconds, times):
        for _ in range(times):
            self.pass_by(seconds)

    @rule(seconds=st.sampled_from((0, 0, 60, 3600)))
    def prune(self, seconds):
        self.sleep(seconds)
        self.do(self.house.prune.tick())

    @precondition(lambda self: len(self.watcher.jobs) > 6 and not self.was_away)
    @rule()
    def be_away_for_a_day(self):
        self.was_away = True
        self.sleep(90_000)
        self.do(self.house.prune.tick())

    @rule()
    def crash(self):
        """As after kill -9: what was under way is dropped."""
        self.do(self.house.watch.close())
        self.house.restart()

    # --- what holds --------------------------------------------------------------------------

    @invariant()
    def promises_are_kept(self):
        self.watcher.look()

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:
                self._calm_down()
                self.ends.update(job.state for job in self.watcher.jobs.values())
        finally:
            self.do(self.house.watch.close())
            self.house.store.close()
            self.loop.close()
            self.ids.stop()
            shutil.rmtree(self.folder)

    def _calm_down(self):
        """No more wishes and no more bad luck: everything comes to rest."""
        self.provider.be_well()
        self.service.queue.resume(by=ADMIN)
        for job in self.jobs(JobState.HELD, JobState.DRAFT):
            self.service.cancel(job.id, by=ADMIN)
        for _ in range(2):
            for _ in range(80):
                if not (self.house.store.machines.select() or self.jobs(*_WAITING)):
                    break
                self._work_well()
                self.pass_by(20)
            # who gets no machine for its money is given up at its deadline
            latest = max((job.deadline_at for job in self.jobs(*_WAITING)), default=0.0)
            self.sleep(max(0.0, latest - self.house.clock()))
            self.do(self.house.prune.tick())
        self.watcher.look()
        self.watcher.rest()
        self.sleep(KEEP_JOB_S + 3600)
        for _ in range(len(self.jobs()) + 1):  # what a repetition repeats goes a pass after it
            self.sleep(90)
            self.do(self.house.prune.tick())
        self.watcher.swept()

    def _work_well(self):
        """What is up does what it is told, and what is not comes up."""
        for machine in self.house.store.machines.select():
            if machine.state.is_live and self.provider.of(machine.label):
                self.bring_up(machine)
        for number in range(len(self.house.store.machines.select(WORKING))):
            machine = self.working(number)
            if machine is None:
                continue
            if self.house.runner.orders(machine).cancel:
                self.house.runner.cancelled(machine)
            elif self.house.store.attempts.open_on(machine.id):
                self.house.runner.heartbeat(machine, Phase.UPLOADING)
                self.house.runner.finish(machine, good_output(self.house.runner.grant(machine)))


class RentedHouseMachine(HouseMachine):
    """With machines of other people's."""

    rents = True

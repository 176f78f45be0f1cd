"""What machines do: they come up, work, finish well or wrong or too late, and vanish."""

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from controller.providers.base import InstanceStatus
from controller.states import JobState
from remote_runner.protocol import BootPhase, Phase, Reason
from tests.controller.conftest import video
from tests.stateful.stage import WORKING, Stage, good_output, numbers

WRONG = (b"", b"no video", video(width=320, height=180), video(width=640, height=360, frames=3))
_PHASES = list(Phase)[:6]
_REASONS = (Reason.ENCODER_FAILED, Reason.CORRUPT, Reason.OUT_OF_MEMORY, Reason.GATE_FAILED,
            Reason.DISK_FULL)  # fmt: skip


class Machines(Stage):
    """Rules of what is rented, or of this computer."""

    @precondition(lambda self: self.rents and self.provider.ours)
    @rule(number=numbers, status=st.sampled_from(list(InstanceStatus)), key=st.booleans(),
          phase=st.sampled_from(list(BootPhase)))  # fmt: skip
    def boot_somehow(self, number, status, key, phase):
        if machine := self.machine(number):
            (instance,) = self.provider.of(machine.label)
            self.provider.show(instance.id, status=status)
            self.house.runner.boot(machine, phase, key=key)

    @precondition(lambda self: self.provider.ours)
    @rule(number=numbers, seconds=st.sampled_from((1, 1, 20)))
    def come_up(self, number, seconds):
        if machine := self.machine(number):
            self.bring_up(machine)
            if worker := self.working(number):
                self.house.runner.heartbeat(worker)
            self.pass_by(seconds)

    def worker(self, number):
        """One that works; where none does yet, what waits gets one, if it may. None else."""
        if machine := self.working(number):
            return machine
        if not self.any_attempt():
            self.pass_by(5)
        if machine := self.machine(number, *WORKING):
            self.bring_up(machine)
            self.pass_by(1)
        return self.working(number)

    def bring_up(self, machine):
        if self.rents:
            (instance,) = self.provider.of(machine.label)
            self.provider.show(instance.id, status=InstanceStatus.RUNNING)
            self.house.runner.boot(machine)

    @precondition(lambda self: self.any_job(JobState.QUEUED, JobState.RUNNING))
    @rule(
        number=numbers, seconds=st.sampled_from((0, 1, 1, 20)), phase=st.sampled_from(_PHASES),
        deed=st.sampled_from(("beat", "beat", "segment", "babble", "vanish", "stop", "silent")),
    )  # fmt: skip
    def work(self, number, deed, seconds, phase):
        machine = self.worker(number)
        if machine is None:
            return
        runner, grant = self.house.runner, self.house.runner.grant(machine)
        if deed == "beat":
            runner.heartbeat(machine, phase, done=number % 240)
        elif deed == "segment" and grant.segments:  # a sample has none
            runner.leave_segment(machine, number % min(3, len(grant.segments)))
        elif deed == "babble":
            runner.babble(machine, ("status", "result")[number % 2])
        elif deed == "stop" and runner.orders(machine).cancel:
            runner.cancelled(machine)
        elif deed == "vanish":
            self.provider.lose(self.provider.of(machine.label)[0].id)
        self.pass_by(301 if deed == "silent" else seconds)

    @precondition(lambda self: self.any_job(JobState.QUEUED, JobState.RUNNING))
    @rule(
        number=numbers, seconds=st.sampled_from((0, 1, 1, 20)), reason=st.sampled_from(_REASONS),
        deed=st.sampled_from(("well", "well", "well", "wrong", "lie", "fail")),
    )  # fmt: skip
    def finish(self, number, deed, seconds, reason):
        machine = self.worker(number)
        if machine is None:
            return
        runner, grant = self.house.runner, self.house.runner.grant(machine)
        runner.heartbeat(machine, Phase.UPLOADING)
        if deed == "fail":
            runner.fail(machine, reason)
        elif deed == "well":
            for _ in range(2):  # it says so twice
                runner.finish(machine, good_output(grant))
        else:
            told = {"sha256": "0" * 64} if deed == "lie" else {}
            runner.finish(machine, WRONG[number % len(WRONG)], **told)
        self.pass_by(seconds)

    @precondition(lambda self: self.old_grants)
    @rule(number=numbers, right=st.booleans(), seconds=st.sampled_from((0, 1)))
    def finish_late(self, number, right, seconds):
        """A machine that was given up goes on, and delivers."""
        grant = self.old_grants[number % len(self.old_grants)]
        output = good_output(grant) if right else WRONG[number % len(WRONG)]
        path = Path(grant.output_url.removeprefix("file://"))
        if path.parent.is_dir():
            path.unlink(
                missing_ok=True
            )  # a runner replaces what is there, it never writes into it
            self.house.runner.finish(None, output, grant=grant)
        self.pass_by(seconds)

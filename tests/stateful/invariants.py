"""What must hold after every step, looked for in the rows, the storage and outside."""

import hashlib

from controller.labels import Label
from controller.states import (
    ATTEMPT_MOVES,
    JOB_MOVES,
    MACHINE_MOVES,
    AttemptState,
    JobState,
    MachineState,
)
from controller.terms import money_cap, price_cap
from tests.stateful.outside import FOREIGN

_SLACK = 1e-6
_ENDS = ("done", "failed", "cancelled")


class Watcher:
    """Compares what is with what was at the last look. AssertionError where a promise is broken.

    ``jobs``, ``attempts`` and ``machines`` are rows as they were then.
    ``cancelled`` has the ids of jobs whose owner was told that they are, or will be, cancelled.
    """

    def __init__(self, house, provider, outputs) -> None:
        self._house = house
        self._provider = provider
        self._outputs = {hashlib.sha256(each).hexdigest() for each in outputs}
        """Hashes of what may be published."""
        self.jobs: dict = {}
        self.attempts: dict = {}
        self.machines: dict = {}
        self._published: dict = {}
        self.cancelled: set[str] = set()
        self.slept = False
        """Whether machines have lived for long with no controller to look at them."""

    def look(self) -> None:
        store = self._house.store
        jobs = {job.id: job for job in store.jobs.select(limit=10_000)}
        attempts = {
            (each.job, each.number): each for job in jobs for each in store.attempts.of_job(job)
        }
        machines = {each.machine for each in attempts.values()} | set(self.machines)
        machines = {each: store.machines.get(each) for each in machines}
        compare(self.jobs, jobs, JOB_MOVES)
        compare(self.attempts, attempts, ATTEMPT_MOVES)
        compare(self.machines, machines, MACHINE_MOVES)
        for job in jobs.values():
            self._look_at_job(job, [attempts[key] for key in attempts if key[0] == job.id])
        self._look_at_machines(machines)
        self._look_at_money(jobs, machines)
        self._look_outside()
        self.jobs, self.attempts, self.machines = jobs, attempts, machines

    def _look_at_job(self, job, attempts) -> None:
        running = [each for each in attempts if not each.state.is_terminal]
        assert len(running) == (job.state is JobState.RUNNING), f"{job.id} {job.state}: {running}"
        assert [each.number for each in attempts] == list(range(1, job.attempts + 1)), job.id
        verified = [each for each in attempts if each.state is AttemptState.VERIFIED]
        assert len(verified) == (job.state is JobState.DONE), f"{job.id}: {verified}"
        if before := self.jobs.get(job.id):
            assert job.cost_usd >= before.cost_usd - _SLACK, f"{job.id} became cheaper"
        if job.state is JobState.DONE:
            assert job.id not in self.cancelled, f"{job.id} was cancelled, and is done"
            self._look_at_object(job)

    def _look_at_object(self, job) -> None:
        """Once: what is published never changes, which is looked at as well."""
        told = (job.output_key, job.output_sha256, job.output_bytes)
        assert self._published.setdefault(job.id, told) == told, f"{job.id} was published twice"
        path = self._house.settings.storage_dir / job.output_key
        if job.sample_of is not None and not path.exists():
            return  # a sample is a leftover of its draft
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert (digest, len(data)) == told[1:], f"{job.id} is not what its record says"
        assert digest in self._outputs, f"{job.id} published what no good machine made"
        assert job.sha256_by == "controller"

    def _look_at_machines(self, machines) -> None:
        store, settings = self._house.store, self._house.settings
        there = store.machines.select()
        assert len(there) <= settings.max_machines, f"{len(there)} machines"
        for machine in machines.values():
            attempt = store.attempts.open_on(machine.id)
            if machine.state in (MachineState.RETIRING, MachineState.GONE, MachineState.READY):
                assert attempt is None, f"{machine.id} is {machine.state} with {attempt}"
            if machine.state is MachineState.BUSY:
                assert attempt is not None, f"{machine.id} is busy with nothing"
            if machine.state is MachineState.GONE:
                assert machine.destroyed_at is not None, f"{machine.id} was never destroyed"
                assert machine.absences >= 2, f"{machine.id} is gone without proof"

    def _look_at_money(self, jobs, machines) -> None:
        store, settings = self._house.store, self._house.settings
        for machine in machines.values():
            billed, reserved = self._provider.billed[machine.label], machine.reserved_usd
            # a price that rose while nobody looked is followed at the next listing
            unseen = self.slept and self._provider.risen
            assert unseen or billed <= reserved + _SLACK, (
                f"{machine.id}: ${billed} billed, ${reserved} reserved"
            )
            attempt = store.attempts.open_on(machine.id)
            if attempt is None or machine.retire_requested_at is not None:
                continue
            job = jobs[attempt.job]
            # a machine whose price rose is given up at the next listing
            is_listed = not self._provider.of(machine.label) or all(
                (each.usd_per_hour or 0.0) <= machine.usd_per_hour + _SLACK
                for each in self._provider.of(machine.label)
            )
            if is_listed and not self._provider.risen:
                assert machine.usd_per_hour <= price_cap(job, settings) + _SLACK, machine.id
                assert job.cost_usd <= money_cap(job, settings) + _SLACK, job.id
        midnight = self._house.clock() // 86400 * 86400
        agreed = sum(job.approved_usd or 0.0 for job in jobs.values())
        # of a machine that ended while nobody looked it is not known when that was
        if not self._provider.risen and not self.slept:
            committed = store.machines.committed_usd(midnight)
            assert committed <= settings.day_budget + agreed + _SLACK, f"${committed} in a day"

    def _look_outside(self) -> None:
        provider = self._provider
        assert provider.most_per_label <= 1, "two machines under one label"
        assert all(count == 1 for count in provider.creates_sent.values()), "created twice"
        for number, label in enumerate(FOREIGN):
            foreign = provider.alive.get(f"f{number}")
            assert foreign and foreign.label == label, "a foreign machine was touched"
        assert not [each for each in provider.destroyed if each.startswith("f")]
        for each in provider.ours:
            machine = self._house.store.machines.get(Label.parse(each.label).machine)
            assert machine is not None, f"{each.id} has no row"

    # --- at rest -----------------------------------------------------------------------------

    def rest(self) -> None:
        """Nobody wants anything any more, and nothing was in the way for a while."""
        store, root = self._house.store, self._house.settings.storage_dir
        assert not self._provider.ours, f"machines are left: {self._provider.ours}"
        assert store.machines.select() == [], "machines are not proven gone"
        outputs = {path for path in root.glob("output/*") if path.is_file()}
        for job in store.jobs.select(limit=10_000):
            assert job.state.is_terminal, f"{job.id} is {job.state}"
            kinds = [each.kind for each in store.events.after(0, 10**6) if each.job == job.id]
            ends = [kind for kind in kinds if kind in _ENDS]
            assert ends == [str(job.state)], f"{job.id} is {job.state} and was told as {ends}"
            if job.state is JobState.DONE and job.sample_of is None:
                outputs.remove(root / job.output_key)
        assert not outputs, f"nobody's results: {outputs}"

    def swept(self) -> None:
        """A day later, all leftovers are gone."""
        root = self._house.settings.storage_dir
        left = [path for path in root.glob("jobs/**/*") if path.is_file()]
        left += root.glob("input/uploads/*/*")
        assert not left, f"left behind: {left[:5]}"


def compare(before: dict, after: dict, moves: dict) -> None:
    """Nothing has vanished, and each row has moved as the table allows, its version growing."""
    assert before.keys() <= after.keys(), before.keys() - after.keys()
    for key, old in before.items():
        new = after[key]
        assert new.version >= old.version, f"{key}: version {old.version} became {new.version}"
        if new.state is not old.state:
            assert new.version > old.version, f"{key} moved and kept its version"
            assert new.state in reachable(old.state, moves), f"{key}: {old.state} → {new.state}"


def reachable(state, moves: dict) -> set:
    """By any number of legal moves: one step of the machine may be several of a row."""
    found, waiting = set(), [state]
    while waiting:
        for each in moves[waiting.pop()] - found:
            found.add(each)
            waiting.append(each)
    return found

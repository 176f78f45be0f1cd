"""People who are asked for a yes to prices, budgets and times, and what they are promised."""

from controller import policy
from controller.errors import TooLate, UserError
from controller.records import Actor
from controller.states import JobState
from controller.terms import money_cap, price_cap, time_limit_s
from tests.controller.standins import make_offer

ADMIN = Actor(1, admin=True)
OWNER = Actor(7)
#: Hours and budgets under which most starts need a yes, each for another reason.
TIGHT = (
    {"max_price": 0.02},
    {"max_price": 0.04},
    {"job_timeout_s": 600.0},
    {"job_budget": 0.05},
    {"day_budget": 0.15},
    {"max_price": 0.042, "day_budget": 0.2},
)
_SLACK = 1e-9


class Money:
    """``broken`` has a line for each promise that was not kept."""

    def __init__(self, world) -> None:
        self.broken: list[str] = []
        self.asked = self.agreed = 0
        self._world = world
        rng = world.rng
        # few or all are too slow for what one attempt may take
        slow = rng.choice([0.0, 0.3, 1.0])
        world.provider.market = [
            make_offer(
                id=str(n), machine_id=f"m{n}", usd_per_hour=0.04 + n / 1000,
                tflops=0.001 if rng.random() < slow else 12.7,
            )
            for n in range(50)
        ]  # fmt: skip
        world.house.change(**rng.choice(TIGHT))
        if rng.random() < 0.5:
            world.house.controller.people.set_day_budget(
                OWNER.user, rng.choice([0.0, 0.01, 0.1]), by=ADMIN
            )

    async def start(self, job):
        started = await self._world.house.controller.request_start(job.id, by=OWNER)
        self._tell(f"start {started.state} {started.held_for}")
        self.asked += started.state is JobState.HELD
        return started

    async def answer(self) -> None:
        """Somebody answers one of those who wait, or wants something that is not theirs to say."""
        world, rng = self._world, self._world.rng
        waiting = [
            job for job in map(world.house.job, world.jobs)
            if job.state in (JobState.HELD, JobState.QUEUED, JobState.DRAFT)
        ]  # fmt: skip
        if not waiting:
            return
        job, actor = rng.choice(waiting), rng.choice([ADMIN, ADMIN, OWNER])
        deed = rng.choice(["approve"] * 4 + ["decline", "take_back", "price", "price", "again"])
        before = {each.id: each for each in map(world.house.job, world.jobs)}
        try:
            await self._do(deed, job, actor)
        except UserError as error:
            self._tell(f"{deed} by {actor.user}: {error.code}")
            return
        self._tell(f"{deed} by {actor.user}")
        self._check_others(job, before)
        after = world.house.job(job)
        self.agreed += after.approved_by is not None and job.approved_by is None
        if actor is OWNER and (
            after.approved_usd_per_hour != job.approved_usd_per_hour
            or after.approved_usd != job.approved_usd
        ):
            self.broken.append(f"job {job.id}: its owner agreed to its money")

    def close(self) -> None:
        """The day is over: all who still wait for a yes get a no, and drafts are dropped."""
        controller = self._world.house.controller
        for job in map(self._world.house.job, self._world.jobs):
            if job.state is JobState.HELD:
                controller.decline(job.id, by=ADMIN)
            elif job.state is JobState.DRAFT:
                controller.cancel(job.id, by=OWNER)

    def check(self) -> None:
        """Whatever is on a machine is within what the settings, or somebody, allowed for it."""
        store, settings = self._world.house.store, self._world.house.settings
        for machine in store.machines.select():
            attempt = store.attempts.open_on(machine.id)
            if attempt is None:
                continue
            job = store.jobs.get(attempt.job)
            if machine.usd_per_hour > price_cap(job, settings) + _SLACK:
                self.broken.append(f"job {job.id} is on a machine over its price")
            if job.cost_usd + machine.traffic_usd > money_cap(job, settings) + _SLACK:
                self.broken.append(f"job {job.id} costs more than was agreed to")
            limit_s = policy.BOOT_ALLOWANCE_S + time_limit_s(job, settings)
            if attempt.deadline_at - attempt.assigned_at > limit_s + _SLACK:
                self.broken.append(f"job {job.id} may run for longer than was agreed to")
        midnight = self._world.house.clock.now // 86400 * 86400
        agreed = sum(job.approved_usd or 0.0 for job in map(store.jobs.get, self._ids()))
        if store.machines.committed_usd(midnight) > settings.day_budget + agreed + _SLACK:
            self.broken.append("more is reserved than the day and those who said yes allow")

    def _ids(self) -> list[str]:
        return [job.id for job in self._world.jobs]

    async def _do(self, deed, job, actor) -> None:
        controller = self._world.house.controller
        match deed:
            case "approve":
                controller.approve(job.id, by=actor)
            case "decline":
                controller.decline(job.id, by=actor)
            case "take_back":
                if job.state is not JobState.HELD:
                    raise TooLate
                controller.take_back(job.id, by=actor)
            case "price":
                await controller.approve_price(job.id, by=actor)
            case "again":
                await controller.request_start(job.id, by=actor)

    def _check_others(self, job, before) -> None:
        for other in map(self._world.house.job, self._world.jobs):
            if other.id != job.id and other != before[other.id]:
                self.broken.append(f"an answer to {job.id} changed {other.id}")

    def _tell(self, line: str) -> None:
        self._world.story.append(f"{self._world.house.clock.now:.0f} {line}")

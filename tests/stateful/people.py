"""What people ask of the house, those who may and those who may not."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from controller.records import Request
from controller.states import JobState
from tests.controller.conftest import write_video
from tests.stateful.stage import OWNER, TASKS, Stage, numbers, people, tasks

#: Caps and budgets under which some starts need a yes, each for another reason.
TERMS = (
    {}, {}, {"max_price": 0.042}, {"job_budget": 0.05}, {"day_budget": 0.15},
    {"job_timeout_s": 600.0}, {"max_machines": 1}, {"idle_s": 0.0},
)  # fmt: skip
_MOST_JOBS = 12
_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class People(Stage):
    """Rules of those who send videos and decide."""

    @initialize(terms=st.sampled_from(TERMS), who=people, task=tasks)
    def open(self, terms, who, task):
        self.house.change(**{"max_machines": 2, "day_budget": 2.0, **terms})
        self.send_video(who, task, True)

    @precondition(lambda self: len(self.watcher.jobs) < _MOST_JOBS)
    @rule(who=people, task=tasks, start=st.booleans())
    def send_video(self, who, task, start):
        name = f"{next(self.names)}.mp4"
        job = self.ask(self.house.draft, name, owner=who.user, task=TASKS[task])
        assert job is None or job.state is JobState.DRAFT
        if job and start:
            self.start_one(job, who)

    @precondition(lambda self: self.any_job(JobState.DRAFT))
    @rule(number=numbers, who=people)
    def start(self, number, who):
        self.start_one(self.job(number, JobState.DRAFT), who)

    def start_one(self, job, who):
        started = self.ask(self.service.request_start, job.id, by=who)
        if not (who.admin or who.user == job.owner):
            assert started is None, "somebody else started it"
        elif started and job.sample_of is None:
            assert started.state in (JobState.QUEUED, JobState.HELD), started.state

    @precondition(lambda self: self.any_job(JobState.HELD))
    @rule(number=numbers, who=people, deed=st.sampled_from(("approve", "decline", "take_back")))
    def answer(self, number, who, deed):
        """Somebody answers a job that waits for a yes."""
        job = self.job(number, JobState.HELD)
        after = self.ask(getattr(self.service, deed), job.id, by=who)
        if after is None:
            assert self.house.job(job) == job, "a refused answer changed something"
        elif deed == "decline":
            assert who.admin
            assert after.state is JobState.CANCELLED
            self.watcher.cancelled.add(job.id)
        elif deed == "take_back":
            assert after.state is JobState.DRAFT
            assert after.approved_by is None
        elif not who.admin:
            assert after.approved_usd is None
            assert after.approved_usd_per_hour is None

    @precondition(lambda self: self.any_job(JobState.RUNNING, JobState.QUEUED, JobState.DRAFT))
    @rule(number=numbers, who=people)
    def cancel(self, number, who):
        job = self.job(number, JobState.RUNNING, JobState.QUEUED, JobState.DRAFT)
        if self.ask(self.service.cancel, job.id, by=who):
            assert who.admin or who.user == job.owner
            self.watcher.cancelled.add(job.id)

    @precondition(lambda self: self.any_job(*_ENDED) and len(self.watcher.jobs) < _MOST_JOBS)
    @rule(number=numbers, who=people, anew=st.booleans())
    def repeat(self, number, who, anew):
        job = self.job(number, *_ENDED)
        ask = self.service.redo if anew else self.service.retry
        again = self.ask(ask, job.id, by=who, key=f"again:{job.id}:{anew}")
        same = self.ask(ask, job.id, by=who, key=f"again:{job.id}:{anew}")
        assert again is None or same.id == again.id

    @precondition(
        lambda self: self.any_job(JobState.DRAFT) and len(self.watcher.jobs) < _MOST_JOBS
    )
    @rule(number=numbers, who=people)
    def sample(self, number, who):
        job = self.job(number, JobState.DRAFT)
        made = self.ask(self.service.sample, job.id, by=who, key=f"s:{next(self.names)}")
        assert made is None or made.sample_of == job.id

    @precondition(lambda self: len(self.watcher.jobs) < _MOST_JOBS and len(self.batches) < 2)
    @rule(who=people, files=st.integers(2, 3))
    def send_album(self, who, files):
        names = [f"{next(self.names)}.mp4" for _ in range(files)]
        request = Request(key=f"album:{names[0]}", owner=who.user, chat=1)

        async def accept(part, name):
            return await self.service.accept_upload(part, name=name, size=100, fetch=write_video)

        batch = self.ask(
            self.service.batches.accept, request, name="album", items=names, accept_one=accept
        )
        if batch:
            self.batches.append(batch.id)

    @precondition(lambda self: self.batches)
    @rule(
        number=numbers, who=people,
        deed=st.sampled_from(("start", "start", "cancel", "approve", "decline", "retry_failed")),
    )  # fmt: skip
    def decide_on_album(self, number, who, deed):
        batch_id = self.batches[number % len(self.batches)]
        active = [each.id for each in self.service.batches.jobs(batch_id)
                  if not each.state.is_terminal]  # fmt: skip
        done = self.ask(getattr(self.service.batches, deed), batch_id, by=who)
        if done is not None and deed == "cancel":
            self.watcher.cancelled.update(active)

    @rule(number=numbers, who=people, task=tasks, deed=st.sampled_from((
        "choose_task", "allow_price", "move", "give_back", "limit", "pause", "resume", "drain",
    )))  # fmt: skip
    def meddle(self, number, who, task, deed):
        """What is asked for in between, by who may and by who may not."""
        service, queue = self.service, self.service.queue
        if deed == "choose_task" and (job := self.job(number, JobState.DRAFT)):
            self.ask(service.set_task, job.id, by=who, task=TASKS[task])
        elif deed == "allow_price" and (job := self.job(number, JobState.QUEUED)):
            self.ask(service.approve_price, job.id, by=who)
        elif deed == "move" and (job := self.job(number, JobState.QUEUED)):
            to = ("first", "up", "down", "last")[number % 4]
            self.ask(queue.move, job.id, to, by=who)
        elif deed == "give_back" and (machine := self.machine(number)):
            self.ask(service.release_machine, machine.id, by=who)
        elif deed == "limit":
            usd = (None, 0.0, 0.01, 1.0)[number % 4]
            self.ask(service.people.set_day_budget, OWNER.user, usd, by=who)
        elif deed in ("pause", "resume", "drain"):
            self.ask(getattr(queue, deed), by=who)

"""The promises, looked at from outside and in the database once everything has come to rest."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import av

from bot.screen.notifier import CURSOR
from controller.records import Job
from controller.states import JobState, MachineState
from tests.chaos.deployment import MAX_MACHINES, Deployment
from tests.chaos.people import CRASHED, Errand
from tests.chaos.screen import ENDED, Screen, is_sample
from tests.e2e.chatting import is_result
from tests.secrecy import find_leaks

_EVERYTHING = 1_000_000
_TROUBLE = re.compile(r"^Traceback|\bERROR\b|\bCRITICAL\b")
_CENT = 0.01


@dataclass(slots=True)
class Findings:
    """Figures by name, and every broken promise in words."""

    figures: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def check(self, name: str, broken: Iterable[str]) -> None:
        """Note a promise: how often it was broken, and where."""
        found = list(broken)
        self.figures[name] = len(found)
        self.broken += [f"{name}: {each}" for each in found]


def examine(deployment: Deployment, screen: Screen, errands: list[Errand]) -> Findings:
    """All promises of a deployment that is at rest."""
    findings = Findings()
    jobs = all_jobs(deployment)
    for state in JobState:
        findings.figures[f"jobs {state}"] = sum(job.state is state for job in jobs)
    findings.figures["videos sent"] = len(errands)
    findings.check("jobs that did not end", find_unended(deployment, jobs))
    findings.check("videos without an answer", find_unanswered(screen, jobs, errands))
    findings.check("machines left", find_machines(deployment))
    findings.check("results not as recorded", find_bad_outputs(deployment, jobs))
    findings.check("outputs of no job", find_strays(deployment, jobs))
    findings.check("results that were not sent", find_unsent(screen, jobs, errands))
    findings.check("cards that went back", find_disorder(screen, errands))
    findings.check("events not shown", find_unshown(deployment, jobs))
    findings.check("machines beyond their reservation", find_overspent(deployment))
    findings.check("labels created twice", find_twins(deployment))
    findings.check("machines beyond the cap", find_crowding(deployment))
    findings.check("secrets in logs", find_secrets(deployment))
    findings.check("trouble in logs", find_trouble(deployment))
    doubled = count_doubled(screen, jobs, errands)
    findings.figures["controller kills"] = deployment.kills
    findings.figures["messages doubled"] = doubled
    if doubled > deployment.kills:
        findings.broken.append(f"{doubled} messages were doubled by {deployment.kills} kills")
    return findings


def all_jobs(deployment: Deployment) -> list[Job]:
    """Every job that ever was, samples too."""
    rows = deployment.store.jobs._db.rows("SELECT * FROM jobs ORDER BY id")
    return [Job.from_row(row) for row in rows]


def find_unended(deployment, jobs):
    for job in jobs:
        attempts = deployment.store.attempts.of_job(job.id)
        open_ones = [each.number for each in attempts if not each.state.is_terminal]
        if not job.state.is_terminal or open_ones:
            yield f"{job.id} is {job.state}, open attempts {open_ones}"


def find_unanswered(screen, jobs, errands):
    """A video has a job with a card, or an answer that says why not."""
    known = {(job.chat, job.reply_to) for job in jobs}
    for errand in errands:
        sent = errand.sent
        if not screen.answers(sent) or not errand.ended:
            yield f"video {sent.id} of {errand.user}: {_shown(screen, sent)}"
        elif (sent.chat_id, sent.id) not in known and not _was_told(screen, sent):
            yield f"video {sent.id} of {errand.user} has no job: {_shown(screen, sent)}"


def find_machines(deployment):
    yield from deployment.remains()
    for machine in deployment.store.machines.select(tuple(MachineState)):
        if machine.state is not MachineState.GONE:
            yield f"{machine.id} is {machine.state}: {machine.retire_reason}"


def find_bad_outputs(deployment, jobs):
    """What a done job names lies in storage, as large and with the hash as recorded, and plays."""
    for job in jobs:
        if job.state is not JobState.DONE or job.sample_of is not None:
            continue
        data = deployment.read_output(job.output_key)
        if data is None or len(data) != job.output_bytes:
            yield f"{job.id}: {job.output_key} has {data and len(data)} bytes"
        elif hashlib.sha256(data).hexdigest() != job.output_sha256:
            yield f"{job.id}: {job.output_key} has another hash"
        elif not _plays(deployment.home, data, job):
            yield f"{job.id}: {job.output_key} does not play"


def find_strays(deployment, jobs):
    named = [job.output_key for job in jobs if job.output_key]
    yield from (f"{key} twice" for key in {each for each in named if named.count(each) > 1})
    yield from (key for key in deployment.outputs() if key not in named)


def find_unsent(screen, jobs, errands):
    """Every job that is done has brought its file to its chat."""
    by_message = {(job.chat, job.reply_to): job for job in jobs if job.sample_of is None}
    for errand in errands:
        job = by_message.get((errand.sent.chat_id, errand.sent.id))
        results = [m for m in screen.sends(errand.sent) if is_result(m)]
        done = job is not None and job.state is JobState.DONE
        if done != bool(results):
            yield f"{job and job.id} is {job and job.state} with {len(results)} results"


def find_disorder(screen, errands):
    """After its end, no card shows anything earlier."""
    for errand in errands:
        for message in screen.answers(errand.sent):
            looks = [each.text for each in screen.looks(message.chat_id, message.id)]
            ended = [text.startswith(ENDED) for text in looks]
            if True in ended and not all(ended[ended.index(True) :]):
                yield f"card {message.id} of {message.chat_id}: {looks}"


def find_unshown(deployment, jobs):
    """Every card is finished, and every event was shown to all chats that it concerns."""
    events = deployment.store.events
    if (told := events.cursor(CURSOR)) < (newest := events.newest()):
        yield f"chats were shown {told} of {newest} events"
    for job in jobs:
        card = deployment.store.cards.get(job.id)
        if card is not None and not card.finished:
            yield f"the card of {job.id}, which is {job.state}, is not finished"


def find_overspent(deployment):
    """Billed ≤ reserved, machine by machine: by our own books, and by the provider's."""
    for machine in deployment.store.machines.select(tuple(MachineState)):
        lived_s = (machine.gone_at or machine.created_at) - machine.created_at
        booked = machine.usd_per_hour * lived_s / 3600 + machine.traffic_usd
        for billed in (booked, deployment.billed_usd(machine.label)):
            if billed > machine.reserved_usd + _CENT:
                yield f"{machine.id}: ${billed:.3f} of ${machine.reserved_usd:.3f}"


def find_twins(deployment):
    if deployment.name != "rented":
        return
    labels = [create.label for create in deployment.vast.creates]
    yield from (label for label in set(labels) if labels.count(label) > 1)


def find_crowding(deployment):
    """Never more machines at once than the cap allows, as the provider saw them."""
    lives = deployment.lives()
    for born_at, _ in lives:
        crowd = sum(born <= born_at < gone for born, gone in lives)
        if crowd > MAX_MACHINES:
            yield f"{crowd} at a time"


def find_secrets(deployment):
    yield from find_leaks(deployment.home)
    log = deployment.log()
    yield from ("an account key" for secret in deployment.secrets if secret in log)


def find_trouble(deployment):
    """What no kill explains. A line with ERROR is given with those around it."""
    lines = deployment.log().splitlines()
    for number, line in enumerate(lines):
        if _TROUBLE.search(line):
            yield "\n".join(lines[max(0, number - 1) : number + 25])


def count_doubled(screen, jobs, errands) -> int:
    """How many cards, results and endings were sent beyond the first of each."""
    doubled = 0
    samples = [job for job in jobs if job.sample_of is not None]
    for errand in errands:
        sends = screen.sends(errand.sent)
        results = sum(is_result(m) for m in sends)
        failures = sum(m.text.startswith("❌") and not m.media for m in sends)
        titled = sum(is_sample(m) for m in sends)
        cards = sum(not is_sample(m) and not m.media for m in sends) - failures
        mine = [job for job in samples if job.reply_to == errand.sent.id]
        own = [job for job in mine if job.chat == errand.sent.chat_id]
        doubled += sum(max(0, count - 1) for count in (results, failures, cards))
        doubled += max(0, titled - len(own))
    return doubled


def _was_told(screen, sent) -> bool:
    return any(m.text == CRASHED or not m.buttons for m in screen.answers(sent))


def _shown(screen, sent) -> list[str]:
    return [message.text for message in screen.answers(sent)]


def _plays(home: Path, data: bytes, job: Job) -> bool:
    path = home / "look.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    return bool(frames) and job.result is not None and frames == job.result.facts.frames

"""What scripted runners do with segments: they leave some, and begin behind those of others."""

from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from controller.states import Reason
from remote_runner.protocol import Reason as RunnerReason

WRONG = (Reason.BAD_RESULT, RunnerReason.GATE_FAILED)


class Segments:
    """``broken`` has a line for each attempt that began before what was safe."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.resumed = 0
        """Attempts that went on behind something."""
        self._left: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        self._begun: dict[tuple[str, int], set[int]] = {}

    def begin(self, house, machine) -> None:
        """The first look at a grant: what it holds is what this attempt goes on behind."""
        grant = house.runner.grant(machine)
        key = grant.job, grant.attempt
        if key in self._begun:
            return
        given = {each.number for each in grant.finished}
        self._begun[key] = given
        self.resumed += bool(given)
        missing = self._safe(house, *key) - given
        if missing:
            self.broken.append(f"job {key[0]} attempt {key[1]} began before {sorted(missing)}")
        for each in grant.finished:
            if not (
                find_file(each.content_url).exists() and find_file(each.manifest_url).exists()
            ):
                self.broken.append(f"job {key[0]} attempt {key[1]} was given what is not there")

    def work(self, house, machine) -> None:
        """One segment more, the first that is missing."""
        grant = house.runner.grant(machine)
        key = grant.job, grant.attempt
        done = self._begun[key] | self._left[key]
        missing = [number for number in range(len(grant.segments)) if number not in done]
        if missing:
            house.runner.leave_segment(machine, missing[0])
            self._left[key].add(missing[0])

    def _safe(self, house, job_id: str, before: int) -> set[int]:
        """What lay there when the grant was written, from attempts that nothing speaks against."""
        root = house.settings.storage_dir / "jobs"
        written_at = (root / job_id / str(before) / "grant").stat().st_mtime_ns
        safe: set[int] = set()
        current, job = before, house.store.jobs.get(job_id)
        while True:
            for attempt in reversed(house.store.attempts.of_job(job.id)):
                if attempt.number >= current:
                    continue
                if attempt.reason in WRONG:
                    return safe
                safe |= {
                    number
                    for number in self._left[job.id, attempt.number]
                    if _is_older(root / job.id / "parts", number, attempt.number, written_at)
                }
            if job.predecessor is None:
                return safe
            job = house.store.jobs.get(job.predecessor)
            current = job.attempts + 1


def find_leftovers(house, jobs) -> list[str]:
    """Jobs that have ended and been pruned, and of which something is there all the same."""
    found = []
    for job in jobs:
        folder = house.settings.storage_dir / "jobs" / job.id
        left = [path.name for path in folder.rglob("*") if path.is_file()]
        if job.state.is_terminal and left:
            found.append(f"job {job.id} is {job.state} and left {left[:5]}")
    return found


def find_file(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _is_older(parts: Path, number: int, attempt: int, than_ns: int) -> bool:
    # a machine that was given up may go on for a moment after the next grant was written
    manifest = parts / f"{number:05d}-{attempt}.json"
    return manifest.exists() and manifest.stat().st_mtime_ns < than_ns

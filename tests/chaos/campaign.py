"""One run: a deployment, people who use it, harm that is done to it, rest, and the promises."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.deployment import Deployment
from tests.chaos.harm import Dose, Harm
from tests.chaos.people import Crowd
from tests.chaos.promises import (
    Findings,
    all_jobs,
    examine,
    find_machines,
    find_unended,
    find_unshown,
)
from tests.chaos.screen import Screen

REST_S = 600.0
"""How long everything may take to come to rest once nothing is hurt any more."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run was, and what it showed."""

    shape: str
    seed: int
    findings: Findings
    done: Counter[str]
    harm_s: float
    rest_s: float
    story: list[str] = field(default_factory=list)
    """The last lines before the end, where a promise was broken."""

    def row(self) -> dict:
        """For a file: figures, what was done, and what broke."""
        return {
            "shape": self.shape, "seed": self.seed, "harm": dict(self.done),
            "harm_s": round(self.harm_s, 1), "rest_s": round(self.rest_s, 1),
            "figures": self.findings.figures, "broken": self.findings.broken,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """One for each figure."""
        head = f"{self.shape}, seed {self.seed}"
        figures = {**self.done, **self.findings.figures}
        figures |= {"seconds of harm": round(self.harm_s), "seconds to rest": round(self.rest_s)}
        return [f"{head}: {name} {value}" for name, value in figures.items()]


async def run_campaign(
    deployment: Deployment, *, seed: int, jobs: int, dose: Dose, rest_s: float = REST_S
) -> Report:
    """Hurt a deployment with ``jobs`` under way, let it come to rest and look at it."""
    rng = random.Random(seed)
    async with deployment:
        screen = Screen(deployment.driver)
        crowd = Crowd(deployment, screen, random.Random(rng.random()), jobs)
        harm = Harm(deployment, screen, random.Random(rng.random()), dose)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(screen.watch())
            await crowd.gather()
            living = group.create_task(crowd.run())
            began_at = time.monotonic()
            await harm.run()
            harm_s = time.monotonic() - began_at
            crowd.close()
            rest_began_at = time.monotonic()
            await _come_to_rest(deployment, living, rest_s)
            watcher.cancel()
        await deployment.stop_bot()
        findings = examine(deployment, screen, crowd.errands)
        findings.broken += harm.broken
        story = [*harm.told[-40:], *deployment.log().splitlines()[-120:]]
        return Report(
            shape=deployment.name, seed=seed, findings=findings, done=harm.done,
            harm_s=harm_s, rest_s=time.monotonic() - rest_began_at,
            story=story if findings.broken else [],
        )  # fmt: skip


async def _come_to_rest(deployment: Deployment, living: asyncio.Task, rest_s: float) -> None:
    """Until all have what they wanted, and no job and no machine is left; no longer than that."""
    ends_at = time.monotonic() + rest_s
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(living, rest_s)
    while time.monotonic() < ends_at and not _rests(deployment):  # noqa: ASYNC110
        await asyncio.sleep(0.5)


def _rests(deployment: Deployment) -> bool:
    jobs = all_jobs(deployment)
    promises = (find_unended(deployment, jobs), find_unshown(deployment, jobs))
    return not any(map(list, (*promises, find_machines(deployment))))

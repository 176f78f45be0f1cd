"""Everything is killed at random for a minute; ``python -m tests.chaos`` does it for longer."""

import pytest

from tests.chaos.campaign import run_campaign
from tests.chaos.deployment import LocalDeployment, RentedDeployment
from tests.chaos.harm import Dose

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("make", "dose"),
    [
        (LocalDeployment, Dose(kills=5, runner_kills=4)),
        (RentedDeployment, Dose(kills=3, runner_kills=2)),
    ],
)
async def test_deaths_at_random_moments_break_no_promise(tmp_path, make, dose):
    report = await run_campaign(make(tmp_path / "home"), seed=11, jobs=5, dose=dose, rest_s=400)
    assert report.findings.broken == [], "\n".join(report.story)
    assert report.done["controller killed"] == dose.kills
    assert report.done["runner killed"] >= dose.runner_kills
    assert report.findings.figures["jobs done"] > 0

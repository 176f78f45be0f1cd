import pytest

from tests.e2e.story import ADMIN, Story


@pytest.fixture
async def story(tmp_path):
    async with Story(tmp_path) as story:
        yield story


@pytest.fixture
async def ann(story):
    return await story.driver.person(ADMIN, "Ann", language_code="en")


@pytest.fixture
async def chat(ann):
    return ann.chat

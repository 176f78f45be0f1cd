import pytest

from tests.controller.vast_script import provider_at, scripted


@pytest.fixture
async def script():
    async with scripted() as script:
        yield script


@pytest.fixture
async def provider(script):
    provider = provider_at(script.url, script.time)
    yield provider
    await provider.close()

import pytest

from tests.chaos.deployment import LocalDeployment
from tests.e2e.chatting import make_tiny


@pytest.fixture
async def local(tmp_path):
    """One deployment on this computer whose machine stays for some seconds."""
    async with LocalDeployment(tmp_path / "home") as deployment:
        yield deployment


@pytest.fixture
def clip(tmp_path):
    return make_tiny(tmp_path / "clip.mp4", seconds=0.5)


@pytest.fixture
def long_clip(tmp_path):
    """Some seconds of work, so that trouble meets it in the middle."""
    return make_tiny(tmp_path / "long.mp4", seconds=40)

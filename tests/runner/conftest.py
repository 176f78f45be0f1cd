import os

# Before anything imports PyTorch, as remote_runner.__main__ does it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

from remote_runner.models.base import identity_upscaler
from remote_runner.plan import Equipment
from tests.runner.clips import Blend


@pytest.fixture
def equipment():
    return Equipment(device="cpu", upscaler=identity_upscaler(2), interpolator=Blend())

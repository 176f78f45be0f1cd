import importlib.util
import os
from pathlib import Path

# Before anything imports PyTorch, as remote_runner.__main__ does it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

from remote_runner.models.reference import import_reference
from tests.runner.models.published import draw_state

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "weights" / "realesr-animevideov3-fp16.pth"


@pytest.fixture(autouse=True, scope="session")
def _package():
    if importlib.util.find_spec("realesrgan") is None:
        pytest.skip("the realesrgan package is not in this environment")
    # a package that is there and cannot be imported fails the tests
    import_reference()
    torch.set_num_threads(len(os.sched_getaffinity(0)))


@pytest.fixture
def sample():
    return ROOT / "data" / "samples" / "sample.mp4"


@pytest.fixture
def published():
    if not PUBLISHED.exists():
        pytest.skip("the published weights are not beside this checkout")
    return PUBLISHED


@pytest.fixture
def drawn(tmp_path):
    """A function that writes weights of a structure, none of them trivial, and says where."""

    def write(structure, seed=0):
        path = tmp_path / "drawn.pth"
        torch.save({"params": draw_state(structure.shapes(), seed)}, path)
        return path

    return write

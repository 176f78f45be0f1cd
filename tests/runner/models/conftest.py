import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT.parent / "shared" / "weights" / "realesr-animevideov3-fp16.pth"


@pytest.fixture(scope="session", autouse=True)
def _recipes():
    # the scripts beside the shipped models import each other as scripts do
    sys.path.insert(0, str(ROOT / "data" / "models"))
    yield
    sys.path.remove(str(ROOT / "data" / "models"))


@pytest.fixture
def published():
    if not PUBLISHED.exists():
        pytest.skip("the published weights are not beside this checkout")
    return PUBLISHED

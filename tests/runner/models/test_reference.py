import importlib.util
import subprocess
import sys

import pytest
import torch

from remote_runner.errors import MachineError
from remote_runner.models import reference
from remote_runner.protocol import Reason
from tests.runner.clips import make_clip

HERE = importlib.util.find_spec("realesrgan") is not None


def test_a_missing_package_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError) as caught:
        reference.load_reference("starter", torch.device("cpu"))
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    assert "not installed" in caught.value.detail
    assert "make .venv-reference/.ready" in caught.value.detail


def test_a_package_that_breaks_at_its_import_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MachineError, match=r"cannot be imported.*make \.venv-reference"):
        reference.import_reference()


@pytest.mark.skipif(HERE, reason="the realesrgan package is in this environment")
def test_the_command_ends_with_one_line_where_the_package_is_missing(tmp_path):
    clip, output = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    make_clip(clip, count=2)
    command = [sys.executable, "-m", "remote_runner", "process", clip, output]
    command += ["--engine", "realesrgan", "--device", "cpu"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("model_unavailable: ")
    assert not output.exists()


def test_our_own_engine_never_loads_the_reference():
    code = (
        "import sys, torch\n"
        "from remote_runner import pipeline\n"
        "from remote_runner.models.load import load_upscaler\n"
        "load_upscaler('starter', torch.device('cpu'))\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        "assert not names & {'realesrgan', 'basicsr', 'torchvision'}, names\n"
        "assert 'remote_runner.models.reference' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

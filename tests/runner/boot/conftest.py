import json
import re
import sys

import pytest

from controller.bootstrap import BootPlan, second_script
from remote_runner.protocol import Boot, from_json
from tests.controller.machine_world import (
    KEY,
    SIGNATURE,
    VENV_BIN,
    Machine,
    MachineWorld,
    pack,
)

#: A runner that notes how it was called and does as the file ``behaviour`` says.
RUNNER = """
import json, os, signal, sys
if sys.argv[1] == "device":
    exec(open("../../device").read() if os.path.exists("../../device") else "")
    print(json.dumps({"device": "a card"}))
    sys.exit()
with open("../../runs", "a") as file:
    file.write(json.dumps({"arguments": sys.argv[1:], "env": dict(os.environ)}) + "\\n")
count = len(open("../../runs").readlines())
os.makedirs(os.environ["NOXFVR_WORK_DIR"] + "/left", exist_ok=False)
codes = json.load(open("../../codes"))
code = codes[min(count, len(codes)) - 1]
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""
CARD = "NVIDIA GeForce RTX 5060 Ti, 12.0, 16311"


@pytest.fixture
def world():
    world = MachineWorld()
    yield world
    world.close()


@pytest.fixture
def prepared(world, tmp_path):
    """A machine with a small runner in the world, to be booted with changes to the plan."""
    data, sha256 = pack({"remote_runner/__init__.py": "", "remote_runner/__main__.py": RUNNER})
    world.objects["bundle"] = data
    (tmp_path / "bin").mkdir()
    (tmp_path / "codes").write_text("[0]")
    (tmp_path / "noxfvr").mkdir()

    def prepare(*, env=None, path=None, timeout=30.0, **changes):
        plan = BootPlan(
            **{
                "orders_url": world.url("orders"),
                "boot_url": world.url("boot"),
                "deadline_at": 1_893_456_000.5,
                "device": "cpu",
                "bundle_url": world.url("bundle"),
                "bundle_sha256": sha256,
                "pause_s": 0.05,
                **changes,
            }
        )
        (tmp_path / "noxfvr" / "boot.py").write_bytes(second_script(plan))
        environment = {
            "PATH": path or f"{tmp_path / 'bin'}:{VENV_BIN}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "CONTAINER_API_KEY": KEY,
            **(env or {}),
        }
        machine = Machine(tmp_path / "noxfvr", [sys.executable, "boot.py"], environment)
        machine.start()
        try:
            machine.code = machine.wait(timeout)
        finally:
            machine.kill()
        assert not re.search(rf"{KEY}|{SIGNATURE}|://|Traceback", machine.output)
        assert not re.search(rf"{KEY}|{SIGNATURE}|://", json.dumps(world.reports))
        for report in world.reports:
            from_json(Boot, json.dumps(report))
        return machine

    return prepare


@pytest.fixture
def program(tmp_path):
    """Puts a shell script on the machine's PATH."""

    def write(name, text):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
        return path

    return write


def runs(tmp_path):
    path = tmp_path / "runs"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refusal(world):
    """Reason and detail of the last report, which must be a failure."""
    report = world.reports[-1]
    assert report["phase"] == "failed"
    return report["reason"], report["detail"]

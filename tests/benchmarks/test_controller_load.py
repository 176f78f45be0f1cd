import subprocess
import sys

import pytest

from tests.benchmarks.load_stage import ROOT


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_forty_jobs_run_and_all_their_machines_end():
    # how much CPU that takes is measured by make bench, on a computer that does nothing else
    command = [sys.executable, "-m", "tests.benchmarks.controller_load", "--no-limits"]
    command += ["--minutes", "0.3", "--jobs", "40", "--idle", "5"]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "FAIL" not in run.stdout
    assert run.stdout.count("PASS") >= 8

"""Limits on looking into a file hold whatever becomes of those who asked for it."""

import os
import subprocess
import sys

from tests.security.observed import ROOT


def test_time_ends_the_process_where_nobody_listens_any_more():
    read, write = os.pipe()
    os.close(read)
    script = (
        "import time\n"
        "from remote_runner.limits import restrain\n"
        "restrain(cpu_s=60, wall_s=0.5)\n"
        "time.sleep(300)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, cwd=ROOT,
            timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_a_process_did_before_is_no_time_of_the_file():
    """On a slow computer imports alone take seconds."""
    script = (
        "import resource, time\n"
        "begun = time.process_time() - 100\n"
        "time.process_time = lambda used=time.process_time: used() - begun\n"
        "from remote_runner.limits import restrain\n"
        "restrain(cpu_s=8, wall_s=60)\n"
        "time.sleep(0.5)\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert 108 <= int(done.stdout) <= 120

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

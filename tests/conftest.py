import os
import subprocess

import pytest

from tests.lacking import leave_out

# before PyTorch is loaded, here or in a child: tests run beside each other, and threads that wait
# by spinning would make them take many times as long
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

pytest_plugins = ["tests.secrecy"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, so that a full disk is a real one. Needs root."""
    if os.geteuid() != 0:
        leave_out("mounting a small disk needs root")
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        leave_out("this machine does not let one mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)

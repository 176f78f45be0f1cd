"""Real file systems that can be filled and made read-only. Needs root."""

import contextlib
import os
import subprocess
from pathlib import Path

from tests.lacking import leave_out


class Disk:
    """A file system in memory, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Until so much is left, to the last byte where that is none."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while (free := self.free_bytes()) > leave_bytes:
                file.write(b"\0" * min(1 << 16, free - leave_bytes))

    def free(self) -> None:
        self._ballast.unlink()

    def free_bytes(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def mounted_disk(path: Path, size: str, *, mode: str = "rw"):
    """A :class:`Disk` of that size; left out where this machine does not let one mount."""
    if os.geteuid() != 0:
        leave_out("mounting a disk needs root")
    path.mkdir(parents=True)
    command = ("mount", "-t", "tmpfs", "-o", f"size={size},{mode}", "tmpfs", str(path))
    if not _succeeds(*command):
        leave_out("this machine does not let one mount a file system")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


class FailingDisk:
    """An ext4 that turns read-only by itself when it meets an error, as disks do that fail."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def mount(self) -> bool:
        """Whether this machine lets one do that."""
        self.path.mkdir(parents=True, exist_ok=True)
        return _succeeds("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.path))

    def fail(self) -> None:
        """It is read-only from now on, for files too that are open."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        (device,) = (each[0] for each in mounts if each[1] == str(self.path))
        trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        trigger.write_text("a test\n")

    def mend(self) -> None:
        """Checked and mounted anew; nothing may have a file on it open."""
        subprocess.run(["umount", str(self.path)], check=True)
        _succeeds("e2fsck", "-fy", str(self._image))
        assert self.mount()


@contextlib.contextmanager
def failing_disk(path: Path, size: str):
    """A :class:`FailingDisk`; left out where this machine does not let one have it."""
    if os.geteuid() != 0:
        leave_out("mounting a disk needs root")
    image = path.parent / "disk.img"
    path.parent.mkdir(parents=True)
    made = _succeeds("truncate", "-s", size, str(image)) and _succeeds(
        "mkfs.ext4", "-q", "-O", "^has_journal", str(image)
    )
    disk = FailingDisk(path, image)
    if not made or not disk.mount():
        leave_out("this machine does not let one mount a file system of its own")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def _succeeds(*command: str) -> bool:
    """False as well where there is no such program."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False

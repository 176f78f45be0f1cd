"""Copies of the tree, so that nothing is ever planted in the tree itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def take_snapshot(root: Path, target: Path) -> None:
    """Copy what git tracks and what it does not ignore, as it is now; ``target`` is made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    for name in set(listed.stdout.decode().split("\0")) - {""}:
        source = root / name
        if source.is_file():  # one that was deleted is still tracked
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            # with its times, by which what was compiled of it is known to be good
            shutil.copy2(source, target / name)


def copy_snapshot(snapshot: Path, target: Path) -> None:
    """A copy with what was compiled meanwhile. Files of its own: a test may write to one."""
    shutil.copytree(snapshot, target)

"""What the terminal is asked to process: files and folders of this computer, paths in storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.errors import BadPath, StorageError, UserError
from controller.records import VIDEO_SUFFIXES, Job, Request
from controller.service import Controller
from remote_runner.protocol import Task


class NoSuchSource(UserError):
    """There is neither a file nor a folder nor anything in storage under this name."""

    code = "no_such_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One video."""

    shown: str
    """As the user wrote it, completed to one file: the ``input_url`` of its row."""
    name: str
    path: Path | None
    """None for an object in storage."""

    async def accept(self, controller: Controller, key: str, language: str, task: Task) -> Job:
        """Make a draft of it; UserErrors as in the controller."""
        request = Request(key=key, owner=0, language=language)
        if self.path is not None:
            return await controller.accept_local(request, path=self.path, task=task)
        return await controller.accept_stored(request, path=self.shown, task=task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The videos behind one SOURCE of the command line."""

    given: str
    place: str
    """``file``, ``folder`` or ``storage``."""
    sources: Sequence[Source]


async def find_sources(controller: Controller, given: str) -> Found:
    """Local names first, then storage; :class:`NoSuchSource` where there is nothing."""
    local = _find_local(given)
    if local:
        return local
    try:
        keys = await controller.stored_videos(given)
    except (BadPath, StorageError):
        keys = []
    if not keys:
        raise NoSuchSource(f"{given}: no such file or folder, and nothing in storage either")
    sources = [Source(shown=key, name=key.rpartition("/")[2], path=None) for key in keys]
    return Found(given=given, place="storage", sources=sources)


def _find_local(given: str) -> Found | None:
    path = Path(given)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if _is_video(each))
        return Found(given=given, place="folder", sources=[_local(each) for each in files])
    return Found(given=given, place="file", sources=[_local(path)]) if path.exists() else None


def _local(path: Path) -> Source:
    return Source(shown=str(path), name=path.name, path=path)


def _is_video(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not hidden

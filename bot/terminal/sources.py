"""What the terminal is asked to process: files and folders of this computer, paths in storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.errors import BadPath, UserError
from controller.records import VIDEO_SUFFIXES, Job, Request
from controller.service import Controller
from remote_runner.protocol import Task

#: Uploads of chats and of earlier commands; they are meant only where they are named.
_UPLOADS = "input/uploads"


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

    async def find_done(self, controller: Controller, task: Task) -> Job | None:
        """An earlier job that made this of the same content; a local file is always new."""
        return None if self.path else await controller.find_done(self.shown, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The videos behind one SOURCE of the command line."""

    given: str
    place: str
    """``file``, ``folder``, or what people call the storage."""
    sources: Sequence[Source]


async def find_sources(controller: Controller, given: str) -> Found:
    """Local names first, then storage; :class:`NoSuchSource` where there is nothing.

    A storage that does not answer raises what it raises: nothing is known of the name then.
    """
    local = _find_local(given)
    if local:
        return local
    try:
        keys = await controller.stored_videos(given)
    except BadPath as error:
        if given.startswith("b2://"):
            raise NoSuchSource(f"{given}: {error}") from None
        keys = []
    if _UPLOADS not in given:
        keys = [key for key in keys if not key.startswith(f"{_UPLOADS}/")]
    if not keys:
        raise NoSuchSource(f"{given}: no such file or folder, and nothing in storage either")
    sources = [
        Source(shown=show_key(controller, key), name=key.rpartition("/")[2], path=None)
        for key in keys
    ]
    return Found(given=given, place=controller.storage_name, sources=sources)


def show_key(controller: Controller, key: str) -> str:
    """A key as users write it: ``b2://bucket/key``, or the key where storage is a folder."""
    settings = controller.settings
    return f"b2://{settings.b2_bucket}/{key}" if settings.storage == "s3" else key


def _find_local(given: str) -> Found | None:
    path = Path(given)
    try:
        path.exists()
    except OSError as error:
        raise NoSuchSource(f"{given[:80]}: {error.strerror}") from None
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if _is_video(each))
        return Found(given=given, place="folder", sources=[_local(each) for each in files])
    return Found(given=given, place="file", sources=[_local(path)]) if path.exists() else None


def _local(path: Path) -> Source:
    return Source(shown=str(path), name=path.name, path=path)


def _is_video(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not hidden

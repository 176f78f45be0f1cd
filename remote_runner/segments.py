"""Finished segments of the new video: what is known of each, and where they are kept.

A segment is a stretch of the output that a later run goes on behind: its content (a file of its
own) and its manifest, which is written last. It counts only with a manifest of the same recipe
whose content has the size and hash that the manifest says. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from remote_runner.documents import VERSION, ProtocolError, from_json, to_json

log = logging.getLogger(__name__)

#: Largest manifest that is read, bytes.
LARGEST_MANIFEST = 64 << 10

#: Changes with everything that makes segments of older runners useless.
_FORMAT = 1
_SAMPLE = 1 << 16
_SAMPLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One finished segment."""

    number: int
    recipe: str
    """See :func:`recipe_of`."""
    begin_at: int
    """Time of the source picture that its first frame begins at, in ticks of the source."""
    last_at: int
    """Time of the source picture before the next segment, in ticks of the source."""
    next_at: int | None
    """Time of the source picture that the next segment begins at; None behind the last one."""
    until: int | None = None
    """End of the last source picture, in ticks of the source; known in the last segment only."""
    frames: int
    first: int
    """Time of its first frame, in ticks of the output, as in ``last`` and ``end``."""
    last: int
    end: int
    """When its last frame stops being shown."""
    pictures: int
    """Source pictures up to its end, all segments before it included, as in what follows."""
    cuts: int = 0
    repeated: int = 0
    damaged: int = 0
    notes: tuple[str, ...] = ()
    sha256: str
    """Of its content."""
    bytes: int
    encoder: str
    extradata_sha256: str
    """Of the encoder's parameter sets."""
    depth: int
    """By how many places its packets come late at most."""
    version: int = VERSION


class SegmentStore(Protocol):
    """Where finished segments are kept. Whatever goes wrong with old ones is logged, not raised.

    Used by one thread at a time.
    """

    def manifests(self, recipe: str) -> dict[int, Manifest]:
        """What earlier runs of the same recipe left, by number."""

    def fetch(self, manifests: Sequence[Manifest]) -> int:
        """Bring contents to this machine; how many, from the first on, are here and good."""

    def path(self, number: int) -> Path:
        """Where the content of a fetched segment lies."""

    def open(self, number: int) -> Path:
        """Where the content of a new segment is to be written."""

    def keep(self, manifest: Manifest) -> None:
        """The segment is written: make it last."""

    def forget(self, *, but: Sequence[Manifest] = ()) -> None:
        """Remove all segments on this machine but these."""

    def joined(self, number: int) -> None:
        """The content is in the output now."""

    def unfinished(self) -> Path:
        """Where the output is put together."""

    def notes(self) -> tuple[str, ...]:
        """What a result must tell of the keeping."""


def recipe_of(source: Path, **ingredients: object) -> str:
    """Hash of everything that decides what frames come out: the source's content, and values
    whose texts say all there is to know of them."""
    text = json.dumps({name: str(value) for name, value in ingredients.items()}, sort_keys=True)
    return hashlib.sha256(f"{_FORMAT} {fingerprint(source)} {text}".encode()).hexdigest()


def fingerprint(path: Path) -> str:
    """Hash of a file's size and of samples all over it."""
    size = path.stat().st_size
    found = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for n in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE) * n // (_SAMPLES - 1))
            found.update(file.read(_SAMPLE))
    return found.hexdigest()


class Numbering:
    """Which segment a source picture belongs to: half-open stretches of equal length."""

    def __init__(self, start: int, segment_s: float, time_base: Fraction) -> None:
        self._start = start
        self._step = max(Fraction(1), Fraction(segment_s) / time_base)

    def number(self, at: int) -> int:
        return max(0, math.floor((at - self._start) / self._step))


def follow(manifests: Mapping[int, Manifest], numbering: Numbering) -> list[Manifest]:
    """The segments that follow each other without a gap, from the first one on."""
    found: list[Manifest] = []
    at = manifests[0].begin_at if 0 in manifests else None
    while at is not None:
        manifest = manifests.get(numbering.number(at))
        if manifest is None or manifest.begin_at != at:
            break
        if manifest.frames < 1 or not 0 <= manifest.depth < manifest.frames:
            break
        if manifest.next_at is not None and not at <= manifest.last_at < manifest.next_at:
            break
        found.append(manifest)
        at = manifest.next_at
    return found


class FolderStore:
    """Segments in a folder on this machine, which may outlive the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def manifests(self, recipe: str) -> dict[int, Manifest]:
        found = {}
        for path in sorted(self.folder.glob("*.json")):
            if path.stat().st_size > LARGEST_MANIFEST:
                continue
            manifest = read_manifest(path.read_bytes(), recipe, path.name)
            if manifest is not None and path == self._manifest(manifest.number):
                found[manifest.number] = manifest
        return found

    def fetch(self, manifests: Sequence[Manifest]) -> int:
        for place, manifest in enumerate(manifests):
            if not is_good(self.path(manifest.number), manifest):
                return place
        return len(manifests)

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.nut"

    def open(self, number: int) -> Path:
        self._manifest(number).unlink(missing_ok=True)
        return self.path(number)

    def keep(self, manifest: Manifest) -> None:
        target = self._manifest(manifest.number)
        unfinished = target.with_suffix(".part")
        _make_last(self.path(manifest.number))
        unfinished.write_text(to_json(manifest), "utf-8")
        _make_last(unfinished)
        unfinished.replace(target)

    def forget(self, *, but: Sequence[Manifest] = ()) -> None:
        kept = {place(each.number) for each in but for place in (self.path, self._manifest)}
        for path in self.folder.iterdir():
            if path not in kept and path.name != _LOCK:
                path.unlink(missing_ok=True)

    def joined(self, number: int) -> None:
        """It stays until the whole output is right: an interruption must not cost it."""

    def unfinished(self) -> Path:
        return self.folder / "output.part"

    def notes(self) -> tuple[str, ...]:
        return ()

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the folder against other processes; whether that worked."""
        with (self.folder / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def remove_if_empty(self) -> None:
        """Remove the folder if there is nothing to go on behind."""
        if not any(self.folder.glob("*.json")):
            self.remove()

    def remove(self) -> None:
        """Remove the folder and all that a run can have left in it."""
        if self.folder.exists():
            self.forget()
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()

    def _manifest(self, number: int) -> Path:
        return self.folder / f"{number}.json"


_LOCK = "lock"


def read_manifest(data: bytes, recipe: str, where: str) -> Manifest | None:
    """A manifest of this recipe, none for anything else."""
    try:
        manifest = from_json(Manifest, data)
    except ProtocolError as error:
        log.warning("%s is no manifest of a segment: %s", where, error)
        return None
    if manifest.recipe != recipe:
        log.info("%s belongs to another task or source", where)
        return None
    return manifest


def is_good(path: Path, manifest: Manifest) -> bool:
    """Whether a file is the content that a manifest tells of."""
    if not path.is_file() or path.stat().st_size != manifest.bytes:
        return False
    return sha256_of(path) == manifest.sha256


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_last(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

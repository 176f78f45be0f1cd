"""Finished segments of an attempt: on this machine, and in storage for the next attempt.

Uploads go on beside the work, one after the other in order, because a later run can only go on
behind a row without gaps. What fails costs nothing but that safety.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from remote_runner import transfer
from remote_runner.errors import Cancelled, RunnerError
from remote_runner.protocol import FinishedSegment, Grant, to_json
from remote_runner.segments import (
    LARGEST_MANIFEST,
    FolderStore,
    Manifest,
    is_good,
    read_manifest,
)

log = logging.getLogger(__name__)

#: How long an attempt that ends early waits for what is on its way.
GRACE_S = 3.0

_SIDE_BY_SIDE = 4
#: How long the end waits for a transfer that hangs; the thread dies with the process.
_JOIN_S = 1.0


class _Stopped(Exception):
    """The attempt ends: nothing more is uploaded."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Something to look at, made of the first segment while the work goes on."""

    name: str
    url: str
    draw: Callable[[Path, Path, Callable[[], bool]], None]
    """From the segment into a file, until it is asked to stop."""
    told: Callable[[], None]
    """Called when it lies at its URL."""


class GrantStore:
    """The segments of one grant; see :class:`remote_runner.segments.SegmentStore`.

    :meth:`close` it, whatever happened.
    """

    def __init__(
        self,
        grant: Grant,
        folder: Path,
        check: Callable[[], None],
        sights: Sequence[Sight] = (),
    ) -> None:
        """``check`` raises when the attempt must end; ``sights`` are made of the first segment."""
        self._grant = grant
        self._local = FolderStore(folder)
        self._check = check
        self._sights = tuple(sights)
        self._in_storage = grant.finished
        self._finished: dict[int, FinishedSegment] = {}
        self._waiting: deque[Manifest] = deque()
        self._joined: set[int] = set()
        self._first: Manifest | None = None
        self._changed = threading.Condition()
        self._ends_s: float | None = None
        self._failed: set[int] = set()
        self.safe = 0
        """Segments that a next attempt can go on behind."""
        self._thread = threading.Thread(target=self._upload_all, name="segments", daemon=True)
        self._thread.start()

    def manifests(self, recipe: str) -> dict[int, Manifest]:
        found = self._local.manifests(recipe)
        with ThreadPoolExecutor(_SIDE_BY_SIDE, "manifests") as pool:
            read = pool.map(lambda each: self._read(each, recipe), self._in_storage)
            for finished, manifest in zip(self._in_storage, read, strict=True):
                if manifest is not None and manifest.number == finished.number:
                    self._finished[manifest.number] = finished
                    found[manifest.number] = manifest
        return found

    def fetch(self, manifests: Sequence[Manifest]) -> int:
        good = 0
        with ThreadPoolExecutor(_SIDE_BY_SIDE, "fetch") as pool:
            for place in range(0, len(manifests), _SIDE_BY_SIDE):
                some = manifests[place : place + _SIDE_BY_SIDE]
                answers = [*pool.map(self._fetch, some), False]
                good += answers.index(False)
                if good < place + len(some):
                    break
        self.safe = good
        if good:
            self._show(manifests[0])
        return good

    def path(self, number: int) -> Path:
        return self._local.path(number)

    def open(self, number: int) -> Path:
        return self._local.open(number)

    def keep(self, manifest: Manifest) -> None:
        self._local.keep(manifest)
        self._show(manifest)
        with self._changed:
            self._waiting.append(manifest)
            self._changed.notify_all()

    def forget(self, *, but: Sequence[Manifest] = ()) -> None:
        kept = {each.number for each in but}
        # those in storage stay there, but are not asked for again
        self._in_storage = tuple(each for each in self._in_storage if each.number in kept)
        with self._changed:
            self._waiting.clear()
            self._joined.clear()
            self.safe = len(but)
        self._local.forget(but=but)

    def joined(self, number: int) -> None:
        with self._changed:
            waits = number in {each.number for each in self._waiting}
            if waits and not self._failed and number < len(self._grant.segments):
                self._joined.add(number)  # removed once it is uploaded
                return
        self.path(number).unlink(missing_ok=True)

    def unfinished(self) -> Path:
        return self._local.unfinished()

    def notes(self) -> tuple[str, ...]:
        return (f"segments_not_saved:{len(self._failed)}",) if self._failed else ()

    def close(self, grace_s: float = 0.0) -> None:
        """Stop uploading, after so many seconds for what is on its way."""
        with self._changed:
            self._ends_s = time.monotonic() + grace_s
            self._changed.notify_all()
        self._thread.join(grace_s + _JOIN_S)

    def _read(self, finished: FinishedSegment, recipe: str) -> Manifest | None:
        where = f"the manifest of segment {finished.number}"
        try:
            self._check()
            data = transfer.read(finished.manifest_url, LARGEST_MANIFEST, check=self._check)
        except (RunnerError, OSError) as error:
            log.warning("%s cannot be read: %s", where, error)
            return None
        return read_manifest(data, recipe, where)

    def _fetch(self, manifest: Manifest) -> bool:
        path = self.path(manifest.number)
        finished = self._finished.get(manifest.number)
        if is_good(path, manifest):
            return True
        if finished is None:
            return False

        def look(size: int) -> None:
            self._check()
            if size > manifest.bytes:
                raise _Stopped

        try:
            transfer.fetch(finished.content_url, path, look, check=self._check)
        except (RunnerError, OSError, _Stopped) as error:
            log.warning("segment %d cannot be fetched: %s", manifest.number, error)
            return False
        if not is_good(path, manifest):
            log.warning("segment %d is not what its manifest says", manifest.number)
            return False
        return True

    def _show(self, manifest: Manifest) -> None:
        if self._sights and manifest.number == 0:
            with self._changed:
                self._first = manifest
                self._changed.notify_all()

    def _upload_all(self) -> None:
        """Until the end. A segment whose upload failed waits in front until there is another."""
        tried = 0
        while self._await(tried):
            with self._changed:
                first, self._first = self._first, None
            if first is not None:
                for sight in self._sights:
                    self._make(sight, first)
            tried = 0
            while self._waiting and not self._is_over():
                manifest = self._waiting[0]
                if not self._upload(manifest):
                    tried = len(self._waiting)
                    break
                with self._changed:
                    if self._waiting and self._waiting[0] is manifest:
                        self._waiting.popleft()
                        self.safe += 1
                        if manifest.number in self._joined:
                            self.path(manifest.number).unlink(missing_ok=True)

    def _await(self, tried: int) -> bool:
        """Until there is something to do; false when there never will be."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._first is not None
                    or len(self._waiting) > tried
                    or self._ends_s is not None
                )
            )
            return not self._is_over() and (
                self._ends_s is None or len(self._waiting) > tried or self._first is not None
            )

    def _is_over(self) -> bool:
        return self._ends_s is not None and time.monotonic() >= self._ends_s

    def _go_on(self, _: int = 0) -> None:
        if self._is_over():
            raise _Stopped

    def _upload(self, manifest: Manifest) -> bool:
        if manifest.number >= len(self._grant.segments):
            return False
        urls = self._grant.segments[manifest.number]
        try:
            transfer.put_file(
                urls.content_url, self.path(manifest.number), self._go_on, check=self._go_on
            )
            transfer.put_bytes(urls.manifest_url, to_json(manifest).encode(), check=self._go_on)
        except _Stopped:
            return False
        except (RunnerError, OSError) as error:
            log.warning("segment %d is not safe: %s", manifest.number, error)
            self._failed.add(manifest.number)
            return False
        self._failed.discard(manifest.number)
        return True

    def _make(self, sight: Sight, manifest: Manifest) -> None:
        """Nothing about it may fail the work, nor delay its end."""
        target = self.path(manifest.number).with_name(sight.name)
        try:
            sight.draw(self.path(manifest.number), target, self._is_over)
            transfer.put_file(sight.url, target, self._go_on, check=self._go_on)
            self._go_on()  # what is told now would be told of the next attempt
        except (_Stopped, Cancelled):
            return
        except Exception as error:  # the work goes on
            log.warning("no %s: %s", sight.name, error)
            return
        finally:
            target.unlink(missing_ok=True)
        sight.told()

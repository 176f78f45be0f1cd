"""Files that come through a page instead of a chat: in parts, over days and restarts if need be.

Everything is a row and what lies in storage, so that a crash anywhere loses at most parts that
were on their way. What is raised is a :class:`~controller.errors.UserError`, or
:class:`~controller.errors.ControllerError` where it may work later.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from controller import policy
from controller.capabilities import Codes, Upload, UploadState
from controller.errors import (
    BadPart,
    BadVideo,
    ControllerError,
    NoSuchFile,
    NotStored,
    NotVideoName,
    OtherFile,
    TooManyJobs,
    UploadBusy,
    UploadIncomplete,
    UserError,
)
from controller.intake import Intake
from controller.offers import Offer, Offers
from controller.records import VIDEO_SUFFIXES, Job, Request
from controller.settings import Settings
from controller.storage.base import Storage
from controller.store import Store
from remote_runner.protocol import Facts, Reason, Task

__all__ = ["Offer", "Progress", "Uploads"]

log = logging.getLogger(__name__)

_URL_S = 3600.0
#: Parts of S3: 5 MiB at least, 10,000 at most. A lost connection costs a few of them.
_PART_BYTES = 8 << 20
_MOST_PARTS = 9000
#: URLs that are given out at a time.
MOST_URLS = 12
#: A result is about as large as this many times its input.
_SPACE_FACTOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a page is."""

    upload: Upload
    parts: tuple[int, ...] = ()
    """Numbers of those that are stored whole; sorted."""

    @property
    def bytes(self) -> int:
        return sum(self.upload.part_size(number) for number in self.parts)

    @property
    def is_whole(self) -> bool:
        return self.upload.bytes > 0 and self.bytes == self.upload.bytes


class Uploads:
    """Offers pages, takes parts and makes drafts of files that are whole."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        settings: Settings,
        intake: Intake,
        codes: Codes,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._storage = storage
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._offers = Offers(store=store, settings=settings, codes=codes, clock=clock)
        self.offer = self._offers.offer
        self.find = self._offers.find
        self.choose_task: Callable[[int, Facts], Task] | None = None
        """What to do with a file at first, by its owner and what it is; for a front end to set."""
        self._writers: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._endings: dict[str, asyncio.Task[Job]] = {}

    async def progress(self, code: str) -> Progress:
        """What is stored of it."""
        upload = self._offers.find(code)
        if upload.state is not UploadState.RECEIVING:
            return Progress(upload=upload)
        return await self._look(upload)

    async def open(
        self, code: str, *, name: str, size: int, modified: int = 0, kind: str = "",
        replace: bool = False, resume: bool = False,
    ) -> Progress:  # fmt: skip
        """A file was chosen: go on with it, or begin it. ``kind`` is its MIME type, if known.

        :class:`OtherFile` where another one is half way and ``replace`` is not said. One of the
        same name and size that was changed at another time may be the same all the same: some
        phones do not know the time. ``resume`` says that it is.
        """
        upload = self._offers.find(code)
        if upload.state is UploadState.TAKEN:
            return Progress(upload=upload)
        if self.is_looked_at(upload):
            raise UploadBusy
        self._check_file(name, size, kind)
        self._require_turn(upload)
        if upload.state is UploadState.RECEIVING:
            found = await self._look(upload)
            is_same = (upload.name, upload.bytes) == (name, size)
            if is_same and upload.modified == modified:
                return found
            if is_same and resume:
                return self._mark_same(found, modified)
            if found.parts and not replace:
                raise OtherFile(
                    name=upload.name, done=found.bytes, size=upload.bytes, same=is_same
                )
            upload = found.upload
        await self._storage.require_space(size * _SPACE_FACTOR)
        self._require_as_read(upload)
        await self._drop(upload)
        begun = self._store.uploads.change(
            upload, state=UploadState.RECEIVING, name=name, bytes=size, modified=modified,
            part_bytes=max(_PART_BYTES, -(-math.ceil(size / _MOST_PARTS) >> 20) << 20),
            key=policy.upload_key(upload.id, name), storage_id="", error="",
            expires_at=self._offers.until(upload),
        )  # fmt: skip
        if begun is None:  # another window was faster
            raise UploadBusy
        return await self._look(begun)

    async def part_urls(
        self, code: str, numbers: Sequence[int], *, file: str | None = None
    ) -> dict[int, str | None]:
        """Where to put these parts, for an hour; None: through us.

        :class:`OtherFile` where ``file`` is not what the page takes now: parts of two files
        that are sent from two windows must never become one.
        """
        upload = await self._opened(self._receiving(code, file))
        if len(numbers) > MOST_URLS or not all(upload.part_size(each) for each in numbers):
            raise BadPart
        self._offers.touch(upload)
        expires_at = self._clock() + _URL_S
        return {
            number: self._storage.part_url(upload.key, upload.storage_id, number, expires_at)
            for number in numbers
        }

    async def take_part(
        self, code: str, number: int, stream: AsyncIterator[bytes], size: int,
        *, file: str | None = None,
    ) -> None:  # fmt: skip
        """A part that comes through us. One on its way already is given up for it.

        ``file`` as with :meth:`part_urls`.
        """
        upload = await self._opened(self._receiving(code, file))
        if size != upload.part_size(number) or not size:
            raise BadPart
        self._offers.touch(upload)
        await self._stop_writers(upload, number)
        writing = asyncio.ensure_future(
            self._storage.write_part(upload.key, upload.storage_id, number, stream, size)
        )
        self._writers[upload.id, number] = writing
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            if not writing.cancelled():
                await _end(writing)
                raise
            raise UploadBusy from None
        except NotStored:
            raise UploadIncomplete from None
        finally:
            if self._writers.get((upload.id, number)) is writing:
                del self._writers[upload.id, number]

    async def complete(self, code: str) -> Job:
        """The draft that the file became. Asking again, also meanwhile, finds the same one."""
        # who asks may go away: the file is looked at all the same
        return await asyncio.shield(self._begin_end(self._offers.find(code)))

    async def resume(self) -> None:
        """Finish what was whole when the process ended."""
        for upload in self._store.uploads.receiving():
            try:
                if not self._offers.is_over(upload) and (await self._look(upload)).is_whole:
                    await self._begin_end(upload)
            except ControllerError as error:
                log.info("Upload %s waits: %s", upload.id, error)

    async def close(self) -> None:
        """End what goes on."""
        for task in [*self._writers.values(), *self._endings.values()]:
            await _end(task)

    def is_looked_at(self, upload: Upload) -> bool:
        """Whether its file is being put together and probed."""
        return upload.id in self._endings

    def _begin_end(self, upload: Upload) -> asyncio.Task[Job]:
        """The one that goes on for a page, or a new one."""
        ending = self._endings.get(upload.id)
        if ending is None:
            ending = asyncio.ensure_future(self._complete(upload))
            self._endings[upload.id] = ending
            ending.add_done_callback(lambda done: self._note_end(upload.id, done))
        return ending

    def _note_end(self, upload_id: str, ending: asyncio.Task[Job]) -> None:
        self._endings.pop(upload_id, None)
        if not ending.cancelled() and (error := ending.exception()) is not None:
            log.info("Upload %s did not become a job: %s", upload_id, type(error).__name__)

    def _receiving(self, code: str, file: str | None) -> Upload:
        upload = self._offers.find(code)
        if upload.state is not UploadState.RECEIVING or self.is_looked_at(upload):
            raise UploadIncomplete
        if file is not None and file != upload.file:
            raise OtherFile(name=upload.name)
        return upload

    def _mark_same(self, found: Progress, modified: int) -> Progress:
        changed = self._store.uploads.change(found.upload, modified=modified)
        if changed is None:
            raise UploadBusy
        return Progress(upload=changed, parts=found.parts)

    def _require_as_read(self, upload: Upload) -> None:
        """Whether it is still what it was: its file may have become a job's meanwhile."""
        now = self._store.uploads.get(upload.id)
        read = (upload.state, upload.key, upload.storage_id)
        if now is None or (now.state, now.key, now.storage_id) != read:
            raise UploadBusy
        if self.is_looked_at(upload):
            raise UploadBusy

    def _check_file(self, name: str, size: int, kind: str) -> None:
        limit = self._settings.max_input_bytes
        if size <= 0:
            raise BadVideo(Reason.EMPTY_FILE, "nothing in it")
        if size > limit:
            raise BadVideo(
                Reason.FILE_TOO_LARGE, f"{size} bytes, the limit is {limit}",
                bytes=size, limit=limit,
            )  # fmt: skip
        by_name = PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES
        if not by_name and not kind.lower().startswith("video/"):
            raise NotVideoName

    def _require_turn(self, upload: Upload) -> None:
        self._intake.require_turn(upload.owner)
        others = [
            each
            for each in self._store.uploads.receiving()
            if each.owner == upload.owner and each.id != upload.id
        ]
        if len(others) >= policy.MAX_ACTIVE_JOBS:
            raise TooManyJobs(limit=policy.MAX_ACTIVE_JOBS)

    async def _opened(self, upload: Upload, *, again: bool = False) -> Upload:
        """With storage ready for its parts; ``again`` where it may have lost them."""
        if upload.storage_id and not again:
            return upload
        storage_id = await self._storage.open_parts(upload.key, upload.part_bytes)
        if storage_id == upload.storage_id:
            return upload
        changed = self._store.uploads.change(upload, storage_id=storage_id)
        if changed is None:
            raise UploadBusy
        return changed

    async def _look(self, upload: Upload) -> Progress:
        upload = await self._opened(upload)
        if self.is_looked_at(upload):
            return Progress(upload=upload, parts=tuple(range(1, upload.parts + 1)))
        there = await self._storage.parts_there(upload.key, upload.storage_id)
        if not there:
            if await self._is_put_together(upload):
                return Progress(upload=upload, parts=tuple(range(1, upload.parts + 1)))
            # storage drops what nobody finishes: after a day, by the bucket's own rule
            upload = await self._opened(upload, again=True)
        parts = sorted(n for n, size in there.items() if size and size == upload.part_size(n))
        return Progress(upload=upload, parts=tuple(parts))

    async def _is_put_together(self, upload: Upload) -> bool:
        try:
            return (await self._storage.stat(upload.key)).bytes == upload.bytes
        except NotStored:
            return False

    async def _stop_writers(self, upload: Upload, number: int | None = None) -> None:
        """Until there is none: another may have begun while one was ended."""
        while found := [
            task
            for (upload_id, each), task in self._writers.items()
            if upload_id == upload.id and number in (None, each)
        ]:
            for task in found:
                await _end(task)

    async def _drop(self, upload: Upload) -> None:
        """Nothing stays of a file that another one takes the place of."""
        await self._stop_writers(upload)
        if upload.storage_id:
            await self._storage.abort_parts(upload.key, upload.storage_id)
        if upload.key:
            await self._storage.delete(upload.key)

    async def _complete(self, upload: Upload) -> Job:
        if upload.state is UploadState.TAKEN and upload.job:
            return self._store.jobs.get(upload.job)
        if upload.state is not UploadState.RECEIVING or not upload.storage_id:
            raise UploadIncomplete
        await self._stop_writers(upload)
        try:
            await self._storage.complete_parts(upload.key, upload.storage_id, upload.bytes)
        except NotStored:
            raise UploadIncomplete from None
        job = await self._accept(upload)
        if job.source_key != upload.key:
            await self._storage.delete(upload.key)
        self._store.uploads.change(upload, state=UploadState.TAKEN, job=job.id)
        log.info("Upload %s became job %s", upload.id, job.id)
        return job

    async def _accept(self, upload: Upload) -> Job:
        request = Request(
            key=upload.request_key, owner=upload.owner, chat=upload.chat,
            language=upload.language, reply_to=upload.reply_to,
        )  # fmt: skip
        choose = self.choose_task
        try:
            return await self._intake.accept_received(
                request, job_id=upload.id, key=upload.key, name=upload.name,
                choose=functools.partial(choose, upload.owner) if choose else None,
            )  # fmt: skip
        except NoSuchFile:
            raise UploadIncomplete from None
        except TooManyJobs:
            raise  # it may wait here until one of the others has ended
        except UserError as error:
            await self._storage.delete(upload.key)
            self._store.uploads.change(
                upload, state=UploadState.FAILED, error=error.code, key="", storage_id=""
            )
            raise


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])

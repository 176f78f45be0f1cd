"""Upload pages whose time is over: nothing stays of a file that never became whole."""

from __future__ import annotations

import logging

from controller.capabilities import Upload, UploadState
from controller.errors import ControllerError
from controller.loops.context import Context

log = logging.getLogger(__name__)

_UNFINISHED = (UploadState.OPEN, UploadState.RECEIVING, UploadState.FAILED)


async def sweep_uploads(context: Context) -> int:
    """How many pages and links were ended or forgotten."""
    store = context.store
    count = store.uploads.forget() + store.links.forget()
    for upload in store.uploads.overdue(_UNFINISHED):
        try:
            await _end(context, upload)
        except ControllerError as error:
            log.warning("Upload %s stays for now: %s", upload.id, error)
            continue
        count += 1
    return count


async def _end(context: Context, upload: Upload) -> None:
    if context.store.jobs.exists(upload.id):  # a crash came between the two
        context.store.uploads.change(upload, state=UploadState.TAKEN, job=upload.id)
        return
    if upload.storage_id:
        await context.storage.abort_parts(upload.key, upload.storage_id)
    if upload.key:
        await context.storage.delete(upload.key)
    context.store.uploads.change(upload, state=UploadState.EXPIRED, key="", storage_id="")

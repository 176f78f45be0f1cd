"""Grants: an attempt's job and every URL that its machine may touch."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller import places
from controller.mirror import PREFIX, Mirror
from controller.model_names import Kind, find_kind
from controller.records import Attempt, Job
from controller.storage.base import Storage
from controller.workload import SAMPLE_S
from remote_runner.protocol import (
    INTERPOLATORS,
    MODELS,
    FinishedSegment,
    Grant,
    SegmentUrls,
    Task,
    to_json,
)

log = logging.getLogger(__name__)

#: Seconds of the source in one segment of the new video: what a machine that dies loses at most.
SEGMENT_S = 20.0
#: Segments of very long videos are longer, so that a grant stays small enough to be read.
_MOST_SEGMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Segments that may be gone on with: what these attempts of a job left."""

    job: str
    attempts: Collection[int]


class Grants:
    """Draws up grants. Signing is done beside the loop: a long film has thousands of URLs."""

    def __init__(self, storage: Storage, *, segment_s: float, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._segment_s = segment_s
        self._mirror = Mirror(storage, clock=clock)

    async def draw_up(
        self, job: Job, attempt: Attempt, device: str, until: float, lots: Sequence[Lot]
    ) -> bytes:
        """A grant as JSON, with URLs that are good ``until`` then. Of several segments with one
        number that of the first of the ``lots`` is taken."""
        parts = await self._storage.open_upload(places.output_key(attempt), until)
        finished = await self._find_finished(lots)
        weights = {name: f"{PREFIX}{name}" for name in await self._mirror.files()}

        def sign() -> bytes:
            grant = self._sign(job, attempt, device, until, parts, finished, weights)
            return to_json(grant).encode()

        return await asyncio.to_thread(sign)

    async def _find_finished(self, lots: Sequence[Lot]) -> dict[int, tuple[str, str]]:
        found: dict[int, tuple[str, str]] = {}
        for lot in reversed(lots):
            if lot.attempts:
                entries = await self._storage.entries(places.parts_prefix(lot.job))
                keys = [entry.key for entry in entries]
                found |= places.find_segments(lot.job, keys, lot.attempts)
        return found

    def _sign(  # noqa: PLR0917 - one call, right above
        self,
        job: Job,
        attempt: Attempt,
        device: str,
        until: float,
        parts: tuple[str, ...],
        finished: Mapping[int, tuple[str, str]],
        weights: Mapping[str, str],
    ) -> Grant:
        storage, prefix = self._storage, places.attempt_prefix(attempt)
        names = (job.id, attempt.number)

        is_sample = job.sample_of is not None

        def put(key: str) -> str:
            return storage.url_put(key, until)

        def get(key: str) -> str:
            return storage.url_get(key, until)

        segment_s = segment_length(job.facts.duration_s, self._segment_s)
        return Grant(
            job=job.id,
            attempt=attempt.number,
            task=job.task,
            source_url=get(job.source_key),
            source_name=job.source_name,
            source_bytes=job.source_bytes,
            # beside parts it would let the host replace what was looked at
            output_url="" if parts else put(places.output_key(attempt)),
            output_parts=parts,
            picture_url=put(places.picture_key(*names)),
            clip_url=put(places.clip_key(*names)),
            preview_url="" if is_sample else put(places.preview_key(*names)),
            frame_url="" if is_sample else put(places.frame_key(*names)),
            sample_s=SAMPLE_S if is_sample else 0.0,
            source_id=source_id(job),
            status_url=put(f"{prefix}status"),
            log_url=put(f"{prefix}log"),
            result_url=put(f"{prefix}result"),
            result_seen_url=get(f"{prefix}result"),
            deadline_at=attempt.deadline_at,
            device=device,
            segment_s=segment_s,
            segments=tuple(
                SegmentUrls(content_url=put(content), manifest_url=put(manifest))
                for content, manifest in (
                    places.segment_keys(job.id, number, attempt.number)
                    for number in range(
                        0 if is_sample else count_segments(job.facts.duration_s, segment_s)
                    )
                )
            ),
            finished=tuple(
                FinishedSegment(
                    number=number, content_url=get(content), manifest_url=get(manifest)
                )
                for number, (content, manifest) in sorted(finished.items())
            ),
            weights={name: get(key) for name, key in weights.items()}
            | {each: _locate(each, get) for each in own_weights(job.task)},
        )


def source_id(job: Job) -> str:
    """What tells a machine that two attempts have one source; nothing where the content behind a
    key may have been changed unseen."""
    if not (job.source_etag or job.source_is_ours):
        return ""
    return f"{job.source_key} {job.source_etag}"


def segment_length(duration_s: float, wanted_s: float) -> float:
    """Seconds in a segment; the same for every attempt at a video."""
    return max(wanted_s, math.ceil(duration_s / _MOST_SEGMENTS))


def count_segments(duration_s: float, segment_s: float) -> int:
    """How many segments a video may need: one more than by its duration, which is rounded."""
    return math.ceil(duration_s / segment_s) + 1


def own_weights(task: Task) -> list[str]:
    """Weight files that a task names, which are neither in the catalog nor on the web."""
    found = []
    for wanted, reference, names in (
        (task.mode.upscales, task.model, MODELS),
        (task.mode.interpolates, task.interpolator, INTERPOLATORS),
    ):
        if wanted and find_kind(reference, names) in (Kind.KEY, Kind.PATH):
            found.append(reference)
    return found


def _locate(reference: str, get: Callable[[str], str]) -> str:
    return Path(reference).as_uri() if reference.startswith("/") else get(reference)

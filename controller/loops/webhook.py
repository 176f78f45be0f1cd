"""Tells a web address of every job that ended: signed, in order, repeated until it is accepted.

The body is JSON. ``X-Noxfvr-Signature`` is ``sha256=`` and the hexadecimal HMAC-SHA256 of
``<timestamp>.<body>`` with the shared secret, ``X-Noxfvr-Timestamp`` the epoch second of the try,
``X-Noxfvr-Event`` a number that is the same at every try, so that a receiver can tell a repeat.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from controller.log_ids import logged
from controller.records import Event, Job
from controller.settings import Settings
from controller.storage.base import Storage
from controller.store import Store

log = logging.getLogger(__name__)

_CURSOR = "webhook"
_ENDS = frozenset({"done", "failed", "cancelled"})
_TIMEOUT_S = 15.0
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 3600.0
_GIVE_UP_S = 3 * 86400.0
"""An address that accepts nothing for so long loses the oldest message, and it is said."""

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Sends a body with headers to an address; the HTTP status of the answer."""


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """As :data:`Post`; errors are aiohttp's and :class:`TimeoutError`."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


class Webhook:
    """One pass over what has not been told yet."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        settings: Settings,
        clock: Callable[[], float],
        post: Post = post,
    ) -> None:
        self._store = store
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._deliver = post
        self._failures = 0
        self._not_before = 0.0
        self._told = 0
        """The newest event that this process is done with: the cursor may lag behind."""
        if settings.webhook_url:
            store.events.begin_cursor(_CURSOR)

    async def tick(self) -> int:
        """How many messages were accepted."""
        left_s = self._not_before - self._clock()
        # a wait that is longer than any began by a clock that was ahead
        if not self._settings.webhook_url or 0 < left_s <= _LONGEST_WAIT_S + 1:
            return 0
        sent = 0
        while events := self._store.events.after(self._store.events.cursor(_CURSOR), 200):
            for event in events:
                if event.kind in _ENDS and event.id > self._told:
                    outcome = await self._send(event)
                    if outcome is None:
                        return sent
                    sent += outcome
                self._told = max(self._told, event.id)
                self._store.events.move_cursor(_CURSOR, event.id)
        return sent

    @logged
    async def _send(self, event: Event) -> bool | None:
        """Whether it was accepted; None where it is to be tried again."""
        job = self._store.jobs.get(event.job)
        if job.sample_of is not None:
            return False  # it belongs to a chat
        body = json.dumps(self._message(job, event), ensure_ascii=False).encode()
        try:
            status = await self._post(event.id, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._failed(event, type(error).__name__)
        if 200 <= status < 300:
            self._failures = 0
            return True
        return self._failed(event, f"HTTP {status}")

    async def _post(self, event_id: int, body: bytes) -> int:
        stamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "X-Noxfvr-Event": str(event_id),
            "X-Noxfvr-Timestamp": stamp,
            "X-Noxfvr-Signature": sign(self._settings.webhook_secret, stamp, body),
        }
        return await self._deliver(self._settings.webhook_url, body, headers)

    def _message(self, job: Job, event: Event) -> dict[str, object]:
        done = event.kind == "done" and job.output_key is not None
        return {
            "event": event.id,
            "job": job.id,
            "status": "completed" if event.kind == "done" else event.kind,
            "input": job.source_key,
            "name": job.source_name,
            "output_name": (job.output_key or "").rpartition("/")[2] if done else None,
            "result_url": self._storage.link(job.output_key) if done and job.output_key else None,
            "bytes": job.output_bytes if done else None,
            "sha256": job.output_sha256 if done else None,
            "reason": str(job.reason) if job.reason else None,
            "cost_usd": round(job.cost_usd, 6),
            "attempts": job.attempts,
            "ended_at": job.ended_at,
        }

    def _failed(self, event: Event, why: str) -> bool | None:
        now = self._clock()
        if now - event.at > _GIVE_UP_S:
            log.error("The webhook was not told of job %s: %s", event.job, why)
            return False
        self._failures += 1
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (self._failures - 1))
        self._not_before = now + wait_s
        log.warning("The webhook did not accept job %s: %s", event.job, why)
        return None


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``X-Noxfvr-Signature``."""
    message = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()

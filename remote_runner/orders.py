"""Following the orders of the controller: a thread that polls, and what it saw last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from remote_runner import transfer
from remote_runner.errors import RunnerError
from remote_runner.protocol import Orders, ProtocolError, from_json

log = logging.getLogger(__name__)

FILE_POLL_S = 0.5
HTTPS_POLL_S = 5.0

_LARGEST = 64 << 10


class OrdersFeed:
    """Polls one URL; :attr:`latest` never goes back to older orders."""

    def __init__(self, url: str, on_orders: Callable[[Orders], None] = lambda _: None) -> None:
        self._url = url
        self._on_orders = on_orders
        self._latest: Orders | None = None
        self._read_s = time.monotonic()
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._poll_s = FILE_POLL_S if transfer.local_path(url) else HTTPS_POLL_S
        self._thread = threading.Thread(target=self._follow, name="orders", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> Orders | None:
        return self._latest

    @property
    def silent_s(self) -> float:
        """Seconds since orders could be read."""
        return time.monotonic() - self._read_s

    def wait(self, timeout_s: float) -> None:
        """Until something changed, or for so long."""
        self._changed.wait(timeout_s)
        self._changed.clear()

    def wake(self) -> None:
        """End a wait early."""
        self._changed.set()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=2)

    def _follow(self) -> None:
        while not self._ended.is_set():
            self._look()
            self._ended.wait(self._poll_s)

    def _look(self) -> None:
        try:
            orders = from_json(Orders, transfer.read(self._url, _LARGEST))
        except (RunnerError, ProtocolError) as error:
            log.warning("orders could not be read: %s", error)
            return
        self._read_s = time.monotonic()
        if self._latest is None or orders.sequence > self._latest.sequence:
            self._latest = orders
            self._on_orders(orders)
            self._changed.set()

"""The life of a runner on a machine: orders in, one attempt after another, results out."""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from remote_runner import transfer
from remote_runner.attempt import Attempt, carry_out, give_up
from remote_runner.errors import RunnerError
from remote_runner.orders import OrdersFeed
from remote_runner.protocol import GREETING, Grant, Orders, Phase, ProtocolError, from_json
from remote_runner.report import Reporter, log_to
from remote_runner.shelf import Shelf
from remote_runner.watchdog import Watchdog

log = logging.getLogger(__name__)

#: Orders that cannot be read for so long mean that nobody is there any more.
SILENCE_S = 300.0
#: How long an attempt may take to wind up after SIGTERM.
GRACE_S = 7.0
#: When the process ends after SIGTERM, whatever it does.
LAST_S = 9.0

_LARGEST_GRANT = 4 << 20
_GRANT_RETRY_S = 5.0
_GRANT_TRIES = 12
_RESULT_TRIES = 4


def deadline_from(environment: Mapping[str, str]) -> float | None:
    """When this process must end, epoch seconds; ValueError for what is no time."""
    text = environment.get("NOXFVR_DEADLINE_AT")
    if not text:
        return None
    try:
        deadline_at = float(text)
    except ValueError:
        deadline_at = math.nan
    if not math.isfinite(deadline_at):
        raise ValueError(f"NOXFVR_DEADLINE_AT must be epoch seconds, not {text[:40]!r}")
    return deadline_at


def run(orders_url: str, deadline_at: float | None = None) -> int:
    """Follow orders until they say stop, nothing comes any more, or the deadline. Exit code.

    0 after ``stop`` or an idle end, 1 when the orders stayed unreadable, 143 after SIGTERM; the
    watchdog ends the process with 3.
    """
    watchdog = Watchdog(deadline_at)
    reporter = Reporter()
    log_to(reporter)
    reporter.tell(GREETING)
    with tempfile.TemporaryDirectory(prefix="run-", dir=_work_base()) as folder:
        watchdog.clean(Path(folder))
        life = Lifecycle(orders_url, Path(folder), reporter, watchdog)
        life.listen_to_signals()
        try:
            return life.follow()
        finally:
            life.close()


def _work_base() -> str | None:
    base = os.environ.get("NOXFVR_WORK_DIR")
    if base:
        Path(base).mkdir(parents=True, exist_ok=True)
    return base


class Lifecycle:
    """One runner following one set of orders."""

    def __init__(
        self, orders_url: str, work_dir: Path, reporter: Reporter, watchdog: Watchdog
    ) -> None:
        self._work_dir = work_dir
        self._shelf = Shelf(work_dir / "kept")
        self._reporter = reporter
        self._terminated = threading.Event()
        self._finished: set[tuple[str | None, int | None]] = set()
        self._grant_tries = 0
        self._result_tries = 0
        self._attempt: Attempt | None = None
        self._busy_s = time.monotonic()
        self._feed = OrdersFeed(orders_url, lambda orders: watchdog.tighten(orders.deadline_at))

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT end the work, a lost terminal does not."""
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def follow(self) -> int:
        """Work until there is a reason to end; the exit code."""
        while True:
            if self._terminated.is_set():
                return 128 + signal.SIGTERM
            orders = self._feed.latest
            if self._feed.silent_s > SILENCE_S:
                log.error("orders were unreadable for %.0f s, the runner ends", SILENCE_S)
                return 1
            if orders is None:
                self._feed.wait(0.2)
                continue
            if orders.stop:
                log.info("orders say stop")
                return 0
            if orders.grant_url and (orders.job, orders.attempt) not in self._finished:
                self._work_on(orders, orders.grant_url)
                self._busy_s = time.monotonic()
                continue
            if time.monotonic() - self._busy_s > orders.idle_s:
                log.info("idle for %.0f s, the runner ends", orders.idle_s)
                return 0
            self._rest(orders)

    def close(self) -> None:
        self._feed.close()
        self._reporter.flush()
        self._reporter.close()

    def _rest(self, orders: Orders) -> None:
        self._reporter.aim(orders.status_url, None, None, None)
        self._reporter.enter(Phase.IDLE)
        self._feed.wait(0.5)

    def _work_on(self, orders: Orders, grant_url: str) -> None:
        key = (orders.job, orders.attempt)
        grant = self._read_grant(orders, grant_url)
        if grant is None:
            return
        finished = self._is_finished(grant)
        if finished is None:
            return
        if finished:
            log.info("attempt %s of %s was finished before", orders.attempt, orders.job)
            self._finished.add(key)
            return
        folder = self._work_dir / f"attempt-{grant.attempt}"
        self._result_tries = 0
        self._attempt = Attempt(
            grant, folder, self._reporter, lambda: self._why_stop(key), self._shelf
        )
        carry_out(self._attempt)
        self._attempt = None
        self._finished.add(key)

    def _is_finished(self, grant: Grant) -> bool | None:
        """Whether its result is there; None if that is to be asked again.

        Storage that never tells may be one that answers for an absent object like for a forbidden
        one: then the work is done.
        """
        try:
            return transfer.exists(grant.result_seen_url or grant.result_url)
        except RunnerError as error:
            self._result_tries += 1
            log.warning("whether there is a result is not known: %s", error)
            if self._result_tries >= _RESULT_TRIES:
                return False
            self._feed.wait(_GRANT_RETRY_S)
            return None

    def _read_grant(self, orders: Orders, grant_url: str) -> Grant | None:
        """None if it must be tried again, or given up: without it no result can be written."""
        try:
            grant = from_json(Grant, transfer.read(grant_url, _LARGEST_GRANT))
        except (RunnerError, ProtocolError) as error:
            self._grant_tries += 1
            log.error("the grant could not be read (%d): %s", self._grant_tries, error)
            if self._grant_tries >= _GRANT_TRIES or isinstance(error, ProtocolError):
                self._finished.add((orders.job, orders.attempt))
                self._grant_tries = 0
            self._feed.wait(_GRANT_RETRY_S)
            return None
        self._grant_tries = 0
        return grant

    def _why_stop(self, key: tuple[str | None, int | None]) -> str | None:
        """Why the current attempt must end, if it must."""
        if self._terminated.is_set():
            return "the runner was terminated"
        orders = self._feed.latest
        if orders is None:
            return None
        if orders.stop:
            return "the machine was told to stop"
        if (orders.job, orders.attempt) != key:
            return "the machine was given something else to do"
        return "cancelled" if orders.cancel else None

    def _terminate(self, number: int, frame: object) -> None:
        if self._terminated.is_set():
            return
        self._terminated.set()
        # The interrupted code may hold the lock that waking takes: a thread must do it.
        # A single frame of a heavy network can take longer than a host waits before it kills.
        steps = ((0.0, self._feed.wake), (GRACE_S, self._hurry), (LAST_S, self._exit))
        for delay_s, end in steps:
            timer = threading.Timer(delay_s, end)
            timer.daemon = True
            timer.start()

    def _hurry(self) -> None:
        """The work does not end: say so in its place."""
        if self._attempt is not None and not self._attempt.ended:
            give_up(self._attempt)
            self._exit()

    @staticmethod
    def _exit() -> None:
        os._exit(128 + signal.SIGTERM)

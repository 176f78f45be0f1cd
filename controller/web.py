"""What a deployment tells those who watch it: its health, and figures for Prometheus.

Sources of the forms: the Prometheus text format, as its own client library writes it.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from controller.errors import DatabaseError
from controller.service import Controller
from controller.states import JobState, MachineState

#: A tick may rent, delete or probe; after this long without one a loop is taken for dead.
LOOP_S = 900.0
LISTING_S = 900.0
#: Long polling is answered at least every half minute.
POLLER_S = 180.0
#: Anybody may ask, and each look is a commit: no more than one in so many seconds.
HEALTH_S = 1.0


def make_routes(controller: Controller) -> list[web.RouteDef]:
    """``/healthz`` and ``/metrics``."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Figures(controller))

    told: tuple[float, dict[str, object]] | None = None

    async def show_health(request: web.Request) -> web.Response:
        nonlocal told
        now = time.monotonic()
        if told is None or now - told[0] > HEALTH_S:
            told = now, examine_health(controller)
        health = told[1]
        return web.json_response(health, status=200 if health["ok"] else 503)

    async def show_metrics(request: web.Request) -> web.Response:
        if not _is_asked_inside(request, controller.settings.bind_address[0]):
            raise web.HTTPNotFound
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    return [web.get("/healthz", show_health), web.get("/metrics", show_metrics)]


def examine_health(controller: Controller) -> dict[str, object]:
    """What works and since when; ``ok`` is false where something does not that should."""
    vitals = controller.vitals
    loops = vitals.ages("loop")
    listing_s, poller_s = vitals.age("listing"), vitals.age("poller")
    problems = [f"loop {name}" for name, age in loops.items() if age > LOOP_S]
    if not loops:
        problems.append("loops")
    started_s = vitals.age("start") or 0.0
    if (started_s if listing_s is None else listing_s) > LISTING_S:
        problems.append("listing")
    if poller_s is not None and poller_s > POLLER_S:
        problems.append("poller")
    try:
        controller.figures.check_writable()
    except DatabaseError:
        problems.append("database")
    return {
        "ok": not problems,
        "problems": problems,
        "loop_age_s": {name: round(age, 1) for name, age in sorted(loops.items())},
        "listing_age_s": _rounded(listing_s),
        "poller_age_s": _rounded(poller_s),
    }


class _Figures(Collector):
    """Read from the database and the vitals at each scrape."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Iterator[Metric]:
        yield from self._work()
        yield from self._money()
        yield from self._process()

    def _work(self) -> Iterator[Metric]:
        figures = self._controller.figures
        found = figures.jobs()
        jobs = GaugeMetricFamily("noxfvr_jobs", "Jobs by state.", labels=["state"])
        for job_state in JobState:
            jobs.add_metric([job_state], found.get(job_state, 0))
        yield jobs
        attempts = CounterMetricFamily(
            "noxfvr_attempts", "Attempts by state and by why they ended.",
            labels=["state", "reason"],
        )  # fmt: skip
        for (state, reason), count in figures.attempts().items():
            attempts.add_metric([state, reason], count)
        yield attempts
        queue = figures.queue()
        yield _gauge("noxfvr_queue_jobs", "Jobs that wait for a machine.", queue.length)
        yield _gauge(
            "noxfvr_queue_oldest_seconds", "How long the first of them has waited.", queue.oldest_s
        )
        yield _gauge(
            "noxfvr_updates_pending", "Updates of the chat that are kept and not handled yet.",
            figures.updates_pending(),
        )  # fmt: skip

    def _money(self) -> Iterator[Metric]:
        found = self._controller.figures.machines()
        machines = GaugeMetricFamily("noxfvr_machines", "Machines by state.", labels=["state"])
        for state in MachineState:
            if state is not MachineState.GONE:
                machines.add_metric([state], found.get(state, (0, 0.0))[0])
        yield machines
        yield _gauge(
            "noxfvr_machine_usd_per_hour", "What the machines that are there cost an hour.",
            sum(usd for _, usd in found.values()),
        )  # fmt: skip
        yield _gauge(
            "noxfvr_spent_today_usd", "What machines have cost since midnight, UTC.",
            self._controller.spent_today_usd(),
        )  # fmt: skip

    def _process(self) -> Iterator[Metric]:
        vitals = self._controller.vitals
        ages = GaugeMetricFamily(
            "noxfvr_loop_age_seconds", "Since a loop's last tick ended.", labels=["loop"]
        )
        for name, age in vitals.ages("loop").items():
            ages.add_metric([name], age)
        yield ages
        for name in ("listing", "poller"):
            if (since := vitals.age(name)) is not None:
                text = f"Since the last answer to the {name}."
                yield _gauge(f"noxfvr_{name}_age_seconds", text, since)
        yield self._counter("noxfvr_loop_failures", "Ticks that failed.", "loop_failures", "loop")
        yield self._counter(
            "noxfvr_telegram_calls", "Calls of the Bot API.", "telegram_calls", "method"
        )
        yield self._counter(
            "noxfvr_telegram_floods", "Calls that were answered with 429.", "telegram_floods",
            "method",
        )  # fmt: skip
        yield self._counter(
            "noxfvr_upload_parts", "Parts that came through this process.", "upload_parts", "how"
        )

    def _counter(self, name: str, text: str, counted: str, label: str) -> Metric:
        family = CounterMetricFamily(name, text, labels=[label])
        for value, count in self._controller.vitals.counts(counted).items():
            family.add_metric([value], count)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _is_asked_inside(request: web.Request, bound: str) -> bool:
    """Whether figures are asked for by an address of the inside, and not through a proxy.

    A name with a dot may be the public one, or one that another site has pointed at us.
    """
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        name = (request.url.host or "").rstrip(".").lower()
    except ValueError:  # the Host header is none
        return False
    if name == bound or "." not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""What a deployment tells those who watch it: its health, and figures for Prometheus."""

from __future__ import annotations

import ipaddress
import time

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from controller.alerts import LOOP_S
from controller.errors import DatabaseError
from controller.metrics import DeploymentCollector
from controller.service import Controller

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
    registry.register(DeploymentCollector(controller))

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

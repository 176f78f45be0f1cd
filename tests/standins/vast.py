"""A stand-in for the Vast.ai API over HTTP, strict about what the real one refuses.

Its instances really run: the entrypoint is a process in a directory of its own, started again
whenever it exits, and ended with all its children when the instance is destroyed.

``python -m tests.standins.vast`` serves it as a process of its own until it is told to end or its
parent is gone; the first line that it prints is its URL. See :mod:`tests.standins.vast_manners`
for all that can be ordered of it. Sources: Vast.ai's API documentation and its official client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.standins.vast_answers import BadRequest, answer, refuse
from tests.standins.vast_cloud import Cloud, Ledger
from tests.standins.vast_gate import FAULT, Gate, Handler
from tests.standins.vast_host import Bill, HostedInstance
from tests.standins.vast_market import Row, make_offer
from tests.standins.vast_orders import CREATE, Create, Orders, make_body
from tests.standins.vast_queries import Queries

__all__ = ["Bill", "Create", "HostedInstance", "Ledger", "VastStandin", "make_body", "make_offer"]


class VastStandin(Cloud):
    """``async with VastStandin(root, offers) as standin``; ``standin.url`` ends without a slash.

    ``creates`` has every create request that arrived. ``requests``, ``throttled``, ``peak``
    (in flight at once) and ``arrivals`` are by route. Leaving raises what went wrong in here.
    """

    def __init__(
        self,
        root: Path | None = None,
        offers: Iterable[Row] = (),
        *,
        port: int = 0,
        **manners: Any,
    ) -> None:
        super().__init__(root, offers, **manners)
        self.url = ""
        self.creates: list[Create] = []
        self.mistakes: list[Exception] = []
        self._gate = Gate(self)
        self.requests = self._gate.requests
        self.throttled = self._gate.throttled
        self.arrivals = self._gate.arrivals
        self.peak = self._gate.peak
        self._queries = Queries(self)
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._serve, self._gate.middleware])
        orders = Orders(self, self._gate)
        app.add_routes([*self._queries.routes(), *orders.routes(), *self._own_routes()])
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = self._queries.url = f"http://{host}:{port}"
        await self.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._gate.close()
        assert self._runner is not None
        await self._runner.cleanup()
        await self.shut()
        if self.mistakes and exception[0] is None:
            raise ExceptionGroup("the stand-in was used wrongly, or is wrong", self.mistakes)

    def report(self) -> Row:
        """For those in another process: counts by route, money, what is alive."""
        ledger = self.ledger()
        return {
            "requests": dict(self.requests),
            "throttled": dict(self.throttled),
            "peak": dict(self.peak),
            "closest": {route: _closest(times) for route, times in self.arrivals.items()},
            "creates": len(self.creates),
            "labels": [create.label for create in self.creates],
            "alive": [instance.id for instance in self.alive()],
            "cost": ledger.total,
            "credit": self.credit_left(),
        }

    def _own_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/standin/report", self._report, name="report"),
            web.post("/standin/faults", self._order_faults, name="order_faults"),
        ]

    async def _report(self, request: web.Request) -> web.Response:
        return answer(self.report())

    async def _order_faults(self, request: web.Request) -> web.Response:
        for route, orders in (await request.json()).items():
            self.faults[route].extend(orders)
        return answer({"success": True})

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.route.name == "create":
                handler = self._note_create(request, handler)
            return await handler(request)
        except BadRequest as error:
            return refuse(error.status, error.slug, str(error))
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            self.mistakes.append(error)
            raise

    def _note_create(self, request: web.Request, handler: Handler) -> Handler:
        peer = request.transport.get_extra_info("peername")[:2]
        create = Create(
            offer=int(request.match_info["id"]), peer=peer, headers=dict(request.headers)
        )
        self.creates.append(create)
        request[CREATE] = create

        async def noting(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            finally:
                if request[FAULT] != "drop":
                    create.note(await request.read())

        return noting


def _closest(times: list[float]) -> float | None:
    """The shortest time between two requests, in seconds."""
    return min((b - a for a, b in pairwise(times)), default=None)


async def serve(port: int, root: Path | None, config: Row) -> None:
    """``config``: ``offers`` (a list of what differs from the usual one), ``machines`` (so many
    more usual ones), and any of the manners by name; ``behaviour`` by machine id."""
    offers = [make_offer(**changes) for changes in config.pop("offers", [])]
    offers += [make_offer() for _ in range(config.pop("machines", 0))]
    faults = config.pop("faults", {})
    parent = os.getppid()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with VastStandin(root, offers, port=port, **config) as standin:
        for route, orders in faults.items():
            standin.faults[route].extend(orders)
        sys.stdout.write(standin.url + "\n")
        sys.stdout.flush()
        while not ended.is_set() and os.getppid() == parent:
            try:
                await asyncio.wait_for(ended.wait(), 1.0)
            except TimeoutError:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.vast")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--instances-dir", type=Path)
    parser.add_argument("--config", default="{}", help="JSON")
    arguments = parser.parse_args()
    config = json.loads(arguments.config)
    for name in ("behaviour", "price_after"):
        if name in config:
            config[name] = {int(machine): value for machine, value in config[name].items()}
    asyncio.run(serve(arguments.port, arguments.instances_dir, config))


if __name__ == "__main__":
    main()

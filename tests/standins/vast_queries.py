"""The routes of the Vast.ai stand-in that read: search, listings, logs, account."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from typing import Any

from aiohttp import web

from tests.standins.vast_answers import BadRequest, answer, read_body, refuse
from tests.standins.vast_cloud import Cloud
from tests.standins.vast_gate import FAULT
from tests.standins.vast_host import HostedInstance, cut
from tests.standins.vast_market import Row, matches, search

PAGE = 25
_COLUMNS: Row = {
    "id": 0, "label": "", "actual_status": "", "intended_status": "", "gpu_name": "",
    "verification": "", "machine_id": 0, "host_id": 0, "image_uuid": "", "is_bid": False,
    "start_date": 0.0,
}  # fmt: skip


class Queries:
    """Handlers; ``url`` is where log objects are fetched from."""

    def __init__(self, cloud: Cloud) -> None:
        self.url = ""
        self._cloud = cloud
        self._objects: dict[str, str | None] = {}
        """Uploaded logs by name, as they are found now."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v0/bundles/", self.search, name="search"),
            web.put("/api/v0/search/asks/", self.search_asks, name="search_asks"),
            web.get("/api/v1/instances/", self.list_all, name="list"),
            web.get("/api/v0/instances/", self.list_v0, name="list_v0"),
            web.get("/api/v0/instances/filters/", self.filters, name="filters"),
            web.get(r"/api/v0/instances/{id:\d+}/", self.show, name="show"),
            web.put(r"/api/v0/instances/request_logs/{id:\d+}/", self.logs, name="logs"),
            web.get("/instance_logs/{name}", self.log_object, name="log_object"),
            web.get("/api/v0/users/current", self.user, name="user"),
            web.get("/api/v0/users/current/", self.user, name="user_slash"),
            web.get("/api/v0/charges/", self.charges, name="charges"),
            web.get("/api/v0/gpu_names/unique/", self.gpu_names, name="gpu_names"),
        ]

    async def search(self, request: web.Request) -> web.Response:
        return self._search(await read_body(request))

    async def search_asks(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        if body.keys() != {"select_cols", "q"} or not isinstance(body["q"], dict):
            raise BadRequest("the body must have select_cols and q")
        return self._search(body["q"])

    def _search(self, query: Row) -> web.Response:
        cloud = self._cloud
        return answer({"offers": search(cloud.market(), query, unfiltered=cloud.unfiltered)})

    async def list_all(self, request: web.Request) -> web.Response:
        query = {name: _parse(name, text) for name, text in request.query.items()}
        fault = request[FAULT]
        rows = [each.row() for each in self._visible(stale=fault == "stale")]
        filters = query.get("select_filters") or {}
        for name in filters:
            if name not in _COLUMNS:
                raise BadRequest(f"cannot filter by {name!r}", "invalid_request")
        rows = [row for row in rows if matches(row, filters, types=_COLUMNS)]
        if fault == "zero_list":
            rows = []
        page, token = _page(rows, query)
        if fault == "missing_page":
            page, token = (page, None) if token else (page[:-1], None)
        elif fault == "empty_list":
            page, token = [], None
        labels: dict[str, int] = {}
        for row in rows:
            labels[row["label"] or ""] = labels.get(row["label"] or "", 0) + 1
        columns = query.get("select_cols")
        if columns is not None:
            page = [{name: row.get(name) for name in columns} for row in page]
        return answer(
            {
                "success": True,
                "instances_found": len(page),
                "total_instances": len(rows),
                "label_counts": labels,
                "next_token": token,
                "instances": None if fault == "no_rows" else page,
            }
        )

    async def list_v0(self, request: web.Request) -> web.Response:
        text = "This endpoint is deprecated, use /api/v1/instances/"
        return refuse(410, "deprecated_endpoint", text)

    async def filters(self, request: web.Request) -> web.Response:
        names = ("actual_status", "verification", "gpu_name")
        rows = [each.row() for each in self._visible()]
        return answer({"filters": [{name: row[name] for name in names} for row in rows]})

    async def show(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        visible = self._visible(stale=request[FAULT] == "stale", lingering=False)
        instance = next((each for each in visible if each.id == number), None)
        if instance is not None:
            return answer({"instances": instance.row()})
        if self._cloud.gone_instance_as == "404":
            return refuse(404, "no_such_instance", f"Instance {number} not found")
        return answer({"instances": None})

    async def logs(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        wrong = [name for name, value in body.items() if not isinstance(value, str)]
        if wrong or body.keys() - {"tail", "filter", "daemon_logs"}:
            raise BadRequest("tail, filter and daemon_logs are strings, and there is no more")
        if not body.get("tail", "1000").isdecimal():
            raise BadRequest("tail must be a number in a string")
        number = int(request.match_info["id"])
        instance = self._cloud.instances.get(number)
        if instance is None or instance.gone is not None:
            return refuse(404, "no_such_instance", f"Instance {number} not found")
        name = secrets.token_hex(16)
        if self._cloud.stable_log_urls:
            known = request.headers["Authorization"] + str(number)
            name = hashlib.md5(known.encode()).hexdigest()
        self._upload(name, instance, body, request[FAULT])
        return answer(
            {"success": True, "result_url": f"{self.url}/instance_logs/{name}.log", "msg": ""}
        )

    def _upload(self, name: str, instance: HostedInstance, body: Row, fault: str) -> None:
        """Later: the text is taken when the host gets to it; until then, what was there before."""
        if fault == "stale":
            self._objects[name] = instance.last_upload
        if fault == "dead":
            self._objects.pop(name, None)
        if fault in ("dead", "stale") or instance.offline:
            return

        def upload() -> None:
            self._objects[name] = instance.last_upload = _log_text(instance, body)

        asyncio.get_running_loop().call_later(self._cloud.log_delay_s, upload)

    async def log_object(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].removesuffix(".log")
        text = self._objects.get(name)
        if text is None:
            status = 403 if secrets.randbelow(2) else 404
            return web.Response(status=status, text="<Error><Code>AccessDenied</Code></Error>")
        return web.Response(text=text, content_type="binary/octet-stream")

    async def user(self, request: web.Request) -> web.Response:
        return answer(
            {
                "id": 1, "username": "me", "email": "me@example.org", "balance": 0,
                "credit": self._cloud.credit_left(), "host_agreement_accepted": False,
            }
        )  # fmt: skip

    async def charges(self, request: web.Request) -> web.Response:
        rows = []
        for number, bill in self._cloud.ledger().instances.items():
            items = {"gpu": bill.gpu, "disk": bill.disk, "bwd": bill.traffic}
            rows.append(
                {
                    "type": "instance", "source": f"instance-{number}", "amount": bill.total,
                    "metadata": {"label": self._cloud.instances[number].label},
                    "items": [{"type": kind, "amount": items[kind]} for kind in items],
                }
            )  # fmt: skip
        return answer(
            {"results": rows, "count": len(rows), "total": len(rows), "next_token": None}
        )

    async def gpu_names(self, request: web.Request) -> web.Response:
        names = sorted({offer["gpu_name"] for offer in self._cloud.offers.values()})
        return answer({"gpu_names": names})

    def _visible(self, *, stale: bool = False, lingering: bool = True) -> list[HostedInstance]:
        cloud = self._cloud
        at = time.monotonic() - (cloud.stale_s if stale else 0.0)
        linger = cloud.linger_s if lingering else 0.0
        return [
            each
            for each in cloud.instances.values()
            if each.born + cloud.lag_s <= at and (each.gone is None or at < each.gone + linger)
        ]


def _parse(name: str, text: str) -> Any:
    """Query values are JSON; a token is a plain string."""
    if name in ("after_token", "owner", "next_token"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise BadRequest(f"{name} must be JSON", "invalid_request") from None


def _page(rows: list[Row], query: Row) -> tuple[list[Row], str | None]:
    """By keyset: rows after the one that the token names."""
    order = query.get("order_by") or [{"col": "id", "dir": "asc"}]
    if not isinstance(order, list) or len(order) != 1 or order[0].get("col") not in _COLUMNS:
        raise BadRequest("order_by must name one column", "invalid_request")
    column, descending = order[0]["col"], order[0].get("dir") == "desc"

    def key(row: Row) -> tuple[bool, Any, int]:
        value = row[column]
        return (value is not None, value if value is not None else 0, row["id"])

    rows = sorted(rows, key=key, reverse=descending)
    if query.get("after_token"):
        last = _decode(query["after_token"], column)
        rows = [row for row in rows if (key(row) < last if descending else key(row) > last)]
    limit = query.get("limit", PAGE)
    if not isinstance(limit, int):
        raise BadRequest("limit must be a number", "invalid_request")
    limit = min(limit, PAGE) if limit > 0 else 5
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    values = {"id": page[-1]["id"], column: page[-1][column]}
    return page, base64.b64encode(json.dumps({"values": values}).encode()).decode()


def _decode(token: str, column: str) -> tuple[bool, Any, int]:
    try:
        values = json.loads(base64.b64decode(token, validate=True))["values"]
        value = values[column]
        return (value is not None, value if value is not None else 0, int(values["id"]))
    except (ValueError, KeyError, TypeError):
        raise BadRequest("the token is not valid", "invalid_token") from None


def _log_text(instance: HostedInstance, body: Row) -> str:
    tail, pattern = int(body.get("tail", "1000")), body.get("filter", "")
    if body.get("daemon_logs") == "true":
        return cut("\n".join(instance.daemon_log), tail, pattern)
    if instance.gone is not None or instance.starts == 0:
        return f"Error response from daemon: No such container: C.{instance.id}\n"
    return cut(instance.log(), tail, pattern)

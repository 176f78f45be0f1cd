"""The API of the simulated Vast.ai.

It outlives every process. Each request is carried out at one instant and answered with a status,
headers and a body, strictly: what the real API refuses is refused. Rows, searches and the check of
a create are those of the stand-in that speaks HTTP (:mod:`tests.standins.vast`).
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from tests.simulation.faults import Fault
from tests.simulation.outside.account import SimAccount
from tests.simulation.outside.hosting import host, outlive
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.replies import Reply, list_rows, refuse, show_page, tell
from tests.simulation.outside.states import Lazily
from tests.standins.vast_market import BadRequest
from tests.standins.vast_orders import AT_ONCE, check_create

__all__ = ["Reply", "SimInstance", "SimVast"]

_CREATES = (
    Fault.CREATE_OFFER_GONE, Fault.CREATE_NO_CREDIT, Fault.CREATE_LIMITED,
    Fault.CREATE_SERVER_ERROR, Fault.CREATE_SERVER_ERROR_AFTER, Fault.CREATE_HTML,
    Fault.CREATE_ERROR_WITH_CONTRACT,
)  # fmt: skip
_LISTS = (
    Fault.LIST_LIMITED, Fault.LIST_LIMITED_LONG, Fault.LIST_SERVER_ERROR, Fault.LIST_HTML,
    Fault.LIST_ERROR_BODY, Fault.LIST_EMPTY, Fault.LIST_NOTHING, Fault.LIST_PAGE_MISSING,
    Fault.LIST_SHOWS_DEAD,
)  # fmt: skip
_LISTS_OF_THE_LIVING = tuple(each for each in _LISTS if each is not Fault.LIST_SHOWS_DEAD)
_DESTROYS = (Fault.DESTROY_LIMITED, Fault.DESTROY_SERVER_ERROR, Fault.DESTROY_LIES)

_PAGE = 25
_NO_CREDIT = "Your account lacks credit; see the billing page."
_PATH = re.compile(
    r"/api/v0/(?:(?P<search>bundles/)|asks/(?P<ask>\d+)/|instances/request_logs/(?P<logs>\d+)/"
    r"|instances/(?P<one>\d+)/|(?P<many>instances/)|(?P<user>users/current/?))"
    r"|/api/v1/(?P<list>instances/)|/logs/(?P<log>\d+-\d+)\.log"
)


_METHODS = {
    "search": "POST", "create": "PUT", "list": "GET", "destroy": "DELETE",
    "destroy_many": "DELETE", "logs": "PUT", "log": "GET", "user": "GET",
}  # fmt: skip
#: Logs that nobody has read for so long are nobody's.
_LOGS_KEPT_S = 120.0


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it arrives. ``id`` is the number in its path, 0 where there is none."""

    query: dict[str, str]
    body: Any
    key: str
    id: int = 0


class SimVast(SimAccount):
    """The account with its API. ``requests`` counts by route."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: Counter[str] = Counter()
        self._uploaded: dict[str, tuple[float, SimInstance]] = {}
        """Logs by name, and when they can be read."""

    # --- requests ------------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, *, query: dict[str, str], body: Any, key: str
    ) -> Reply:
        """Carry a request out. LookupError for one that the real API has not."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise LookupError(f"there is no {method} {path}")
        name, value = found.lastgroup or "", found[found.lastgroup or 0]
        number = int(value) if value.isdecimal() else 0
        route = {"one": "destroy", "many": "destroy_many", "ask": "create"}.get(name, name)
        if method != _METHODS[route]:
            raise LookupError(f"there is no {method} {path}")
        self.requests[route] += 1
        request = Request(query, body, key, number)
        if name == "log":
            return self._read_log(value, key)
        if refused := self._check_key(route, request) or self.limits.check(route, request.key):
            return refused
        try:
            return getattr(self, f"_{route}")(request)
        except BadRequest as error:
            return refuse(error.status, error.slug, str(error))

    def destroy_itself(self, instance: SimInstance) -> bool:
        """The call of a machine with its own key; whether it says that it worked."""
        if instance.offline or not instance.exists:
            return False
        path = f"/api/v0/instances/{instance.id}/"
        reply = self.answer("DELETE", path, query={}, body={}, key=instance.key)
        return reply.status == 200

    def _check_key(self, route: str, request: Request) -> Reply | None:
        if request.key == self.account_key:
            return None
        own = self.instances.get(request.id)
        if route == "destroy" and own and own.exists and own.key == request.key:
            return None
        return refuse(401, "auth_error", "Invalid user key")

    # --- renting -------------------------------------------------------------------------------

    def _search(self, request: Request) -> Reply:
        states = Lazily(self.states, None)
        if self.faults.hit(Fault.SEARCH_SERVER_ERROR, states):
            return show_page(502)
        held = {each.offer["id"] for each in self.instances.values() if each.holds_gpu}
        found = self.market.search(request.body, held)
        return tell({"offers": [] if self.faults.hit(Fault.SEARCH_EMPTY, states) else found})

    def _create(self, request: Request) -> Reply:
        if not isinstance(request.body, dict):
            raise BadRequest("Request body must be a JSON object of type application/json")
        body = dict(request.body)
        check_create(body)
        fault = self.faults.pick(_CREATES, Lazily(self.states, body.get("label")))
        refused = self._refuse_create(request, fault)
        if refused is not None:
            return refused
        offer = self.market.find(request.id)
        held = any(
            each.holds_gpu and each.offer["id"] == request.id for each in self.instances.values()
        )
        if offer is None or held:
            return self.market.tell_gone(request.id)
        if body["disk"] > offer["disk_space"]:
            raise BadRequest("the disk is larger than that of the machine")
        instance = self.rent(offer, body)
        if fault is Fault.CREATE_ERROR_WITH_CONTRACT:
            instance.stop()
            instance.show("exited")
            self.spawn(self.start_again(instance))
            text = "Required resources are currently unavailable"
            return refuse(400, "resources_unavailable", text, new_contract=instance.id)
        self.spawn(self.host(instance))
        if fault is Fault.CREATE_SERVER_ERROR_AFTER:
            return show_page(504)
        return tell(
            {"success": True, "new_contract": instance.id, "instance_api_key": instance.key}
        )

    def _refuse_create(self, request: Request, fault: Fault | None) -> Reply | None:
        """What nothing is made for."""
        match fault:
            case Fault.CREATE_OFFER_GONE:
                self.market.take(request.id)
                return self.market.tell_gone(request.id)
            case Fault.CREATE_NO_CREDIT:
                return refuse(400, "insufficient_credit", _NO_CREDIT)
            case Fault.CREATE_LIMITED:
                return self.limits.throttle(4.5)
            case Fault.CREATE_SERVER_ERROR:
                return Reply(500, b"", {"Content-Type": "text/html"})
            case Fault.CREATE_HTML:
                return show_page(200)
        if self.credit_left() <= 0:
            return refuse(400, "insufficient_credit", _NO_CREDIT)
        return None

    async def host(self, instance: SimInstance) -> None:
        """What its host does with it from now on."""
        await host(self, instance)

    # --- listing and ending --------------------------------------------------------------------

    def _list(self, request: Request) -> Reply:
        unknown_names = request.query.keys() - {
            "select_filters", "order_by", "limit", "after_token", "select_cols",
        }  # fmt: skip
        if unknown_names or request.query.get("select_filters", "{}") != "{}":
            raise BadRequest(f"cannot list by {sorted(unknown_names)}", "invalid_request")
        has_dead = len(self.visible(dead=True)) > len(self.visible(dead=False))
        faults = _LISTS if has_dead else _LISTS_OF_THE_LIVING
        fault = self.faults.pick(faults, Lazily(self.states, None))
        canned = self._canned_list(fault)
        if canned is not None:
            return canned
        rows = self.visible(dead=fault is Fault.LIST_SHOWS_DEAD)
        after = _decode(request.query["after_token"]) if "after_token" in request.query else 0
        page = [each for each in rows if each.id > after]
        limit = min(int(request.query.get("limit", _PAGE)), self.page_rows)
        has_more, page = len(page) > limit, page[:limit]
        token = _encode(page[-1].id) if has_more else None
        if fault is Fault.LIST_PAGE_MISSING:
            page, token = (page, None) if token else (page[:-1], None)
        return list_rows([each.row_text() for each in page], len(rows), token)

    def _canned_list(self, fault: Fault | None) -> Reply | None:
        match fault:
            case Fault.LIST_LIMITED:
                return self.limits.throttle(1.0)
            case Fault.LIST_LIMITED_LONG:
                return self.limits.throttle(1.0, wait_s=self.faults.after(5, 300))
            case Fault.LIST_SERVER_ERROR:
                return show_page(503)
            case Fault.LIST_HTML:
                return show_page(200)
            case Fault.LIST_ERROR_BODY:
                return refuse(200, "internal_error", "Something went wrong, try again")
            case Fault.LIST_EMPTY:
                return tell({"success": True, "instances": [], "next_token": None})
            case Fault.LIST_NOTHING:
                return list_rows([], 0, None)
        return None

    def _destroy(self, request: Request) -> Reply:
        if not isinstance(request.body, dict):
            raise BadRequest("Request body must be a JSON object of type application/json")
        instance = self.instances.get(request.id)
        label = instance.label if instance else None
        fault = self._pick_destroy(label, [instance] if instance and instance.exists else [])
        if refused := self._refuse_destroy(fault):
            return refused
        if instance is None or not instance.exists:
            return refuse(404, "no_such_instance", f"Instance {request.id} not found")
        if fault is not Fault.DESTROY_LIES:
            self._destroy_all([instance])
        return tell({"success": True})

    def _destroy_many(self, request: Request) -> Reply:
        numbers = request.body.get("instance_ids") if isinstance(request.body, dict) else None
        if not _are_numbers(numbers):
            raise BadRequest(f"instance_ids must be a list of 1 to {AT_ONCE} numbers")
        there = [self.instances[each] for each in numbers if each in self.instances]
        there = [each for each in there if each.exists]
        label = there[0].label if there else None
        fault = self._pick_destroy(label, there[:1])
        if refused := self._refuse_destroy(fault):
            return refused
        self._destroy_all(there[1:] if fault is Fault.DESTROY_LIES else there)
        if len(there) < len(set(numbers)) and self.requests["destroy_many"] % 2:
            return refuse(404, "no_such_instance", "Some instances were not found")
        return tell({"success": True})

    def _pick_destroy(self, label: str | None, there: list[SimInstance]) -> Fault | None:
        faults = _DESTROYS if there else _DESTROYS[:-1]  # of nothing nobody can lie
        fault = self.faults.pick(faults, Lazily(self.states, label))
        if fault is not None and there:
            self.spawn(outlive(self, there[0]))
        return fault

    def _refuse_destroy(self, fault: Fault | None) -> Reply | None:
        if fault is Fault.DESTROY_LIMITED:
            return self.limits.throttle(3.0)
        if fault is Fault.DESTROY_SERVER_ERROR:
            return show_page(500)
        return None

    def _destroy_all(self, instances: Iterable[SimInstance]) -> None:
        for instance in instances:
            if instance.is_foreign:
                self.touched_foreign.append(f"destroyed {instance.id} {instance.label!r}")
            self.end(instance)

    # --- logs and the account ------------------------------------------------------------------

    def _logs(self, request: Request) -> Reply:
        body = request.body
        if not isinstance(body, dict) or not all(isinstance(v, str) for v in body.values()):
            raise BadRequest("tail, filter and daemon_logs are strings, and there is no more")
        instance = self.instances.get(request.id)
        if instance is None or not instance.exists:
            return refuse(404, "no_such_instance", f"Instance {request.id} not found")
        if self.faults.hit(Fault.LOGS_FAIL, Lazily(self.states, instance.label)):
            if self.faults.rng.random() < 0.5:
                return refuse(400, "invalid_state", "instance log channel is starting")
            return tell({"success": True, "msg": "instance not running"})
        now = self.clock()
        for old in [n for n, (at, _) in self._uploaded.items() if now - at > _LOGS_KEPT_S]:
            del self._uploaded[old]
        name = f"{instance.id}-{self.requests['logs']}"
        if not instance.offline:
            self._uploaded[name] = now + self.faults.after(0.3, 2.5), instance
        return tell({"success": True, "result_url": f"https://vast.sim/logs/{name}.log"})

    def _read_log(self, name: str, key: str) -> Reply:
        if key:
            return Reply(400, b"Only one auth mechanism allowed", {})
        ready_at, instance = self._uploaded.get(name, (float("inf"), None))
        if instance is None or self.clock() < ready_at:
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>", {})
        del self._uploaded[name]
        lines = instance.printed[-500:]
        if not instance.runs and not lines:
            lines = [f"Error response from daemon: No such container: C.{instance.id}"]
        text = "".join(f"{line[:500]}\n" for line in lines)
        headers = {
            "Last-Modified": formatdate(ready_at, usegmt=True),
            "Date": formatdate(self.clock(), usegmt=True),
        }
        return Reply(200, text.encode(), headers)

    def _user(self, request: Request) -> Reply:
        if self.faults.hit(Fault.CREDIT_EXHAUSTED, Lazily(self.states, None), weight=0.3):
            self.run_dry()
        return tell({"id": 1, "username": "me", "balance": 0, "credit": self.credit_left()})


def _encode(number: int) -> str:
    return base64.b64encode(json.dumps({"values": {"id": number}}).encode()).decode()


def _decode(token: str) -> int:
    try:
        return int(json.loads(base64.b64decode(token, validate=True))["values"]["id"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest("the token is not valid", "invalid_token") from None


def _are_numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= AT_ONCE
        and all(type(each) is int for each in value)
    )

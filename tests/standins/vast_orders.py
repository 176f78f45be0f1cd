"""The routes of the Vast.ai stand-in that change something: rent, destroy, stop, label."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.standins.vast_answers import BadRequest, answer, read_body, refuse
from tests.standins.vast_cloud import Cloud, OfferTaken
from tests.standins.vast_gate import FAULT, Gate
from tests.standins.vast_host import HostedInstance
from tests.standins.vast_market import Row

LABEL_AT_MOST = 256
NEW_LABEL_AT_MOST = 1024
SCRIPT_AT_MOST = 4048
VALUE_AT_MOST = 256
ENV_AT_MOST = 32768
AT_ONCE = 64
_RUNTYPES = (
    "args", "ssh", "ssh_proxy", "ssh_direct", "ssh_direc ssh_proxy", "jupyter", "jupyter_direct",
    "jupyter_proxy ssh_proxy", "jupyter_direc ssh_direc ssh_proxy",
)  # fmt: skip
_FIELDS = {
    "client_id", "image", "env", "price", "disk", "label", "extra", "onstart", "image_login",
    "python_utf8", "lang_utf8", "use_jupyter_lab", "jupyter_dir", "force", "cancel_unavail",
    "template_hash_id", "user", "runtype", "args", "args_str", "target_state", "volume_info", "vm",
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Create:
    """A create request that arrived, whatever became of it."""

    offer: int
    peer: tuple[str, int]
    """The connection it came on."""
    headers: dict[str, str] = field(repr=False)
    body: Row = field(default_factory=dict, repr=False)
    """Empty where it never came."""
    instance: int | None = None
    """What it made."""

    @property
    def label(self) -> str | None:
        return self.body.get("label")

    def note(self, text: bytes) -> None:
        try:
            body = json.loads(text)
        except ValueError:
            return
        self.body = body if isinstance(body, dict) else {}


def make_body(script: str = "sleep 60", **changes: Any) -> Row:
    """A create request that is accepted, and runs this script in bash."""
    return {
        "client_id": "me", "image": "repo/image:1", "disk": 20, "label": "nox1|x", "env": {},
        "runtype": "args", "onstart": "bash", "args": ["-c", script], "cancel_unavail": True,
    } | changes  # fmt: skip


CREATE = web.RequestKey("create", Create)


class Orders:
    """Handlers."""

    def __init__(self, cloud: Cloud, gate: Gate) -> None:
        self._cloud = cloud
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        number = r"{id:\d+}"
        return [
            web.put(f"/api/v0/asks/{number}/", self.create, name="create"),
            web.delete(f"/api/v0/instances/{number}/", self.destroy, name="destroy"),
            web.delete("/api/v0/instances/", self.destroy_many, name="destroy_many"),
            web.put(f"/api/v0/instances/{number}/", self.update, name="update"),
            web.put("/api/v0/instances/", self.update_many, name="update_many"),
            web.put(f"/api/v0/instances/reboot/{number}/", self.reboot, name="reboot"),
            web.put(f"/api/v0/instances/recycle/{number}/", self.recycle, name="recycle"),
            web.put(f"/api/v0/instances/bid_price/{number}/", self.change_bid, name="change_bid"),
        ]

    async def create(self, request: web.Request) -> web.Response:
        arrived: Create = request[CREATE]
        body = await read_body(request)
        check_create(body)
        cloud, offer_id = self._cloud, arrived.offer
        if cloud.credit_left() <= 0:
            text = "Your account lacks credit; see the billing page."
            return refuse(400, "insufficient_credit", text)
        offer = cloud.offers.get(offer_id)
        if offer and not body["disk"] <= offer["disk_space"]:
            raise BadRequest("the disk is larger than that of the machine")
        low = offer is not None and (body.get("price") or 1e9) < offer["min_bid"]
        if low and body.get("cancel_unavail"):
            return refuse(400, "invalid_price", "The bid is below the minimum")
        with_error = request[FAULT] == "error_with_contract"
        try:
            instance = cloud.rent(offer_id, body, parked=low or with_error)
        except OfferTaken:
            return self._gate.gone_offer(offer_id)
        arrived.instance = instance.id
        if low or with_error:
            text = "Required resources are currently unavailable"
            return refuse(400, "resources_unavailable", text, new_contract=instance.id)
        key = {"instance_api_key": instance.key} if cloud.answers_key else {}
        return answer({"success": True, "new_contract": instance.id} | key)

    async def destroy(self, request: web.Request) -> web.Response:
        await read_body(request)
        instance = self._find(request)
        self._cloud.destroy(instance)
        return answer({"success": True})

    async def destroy_many(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        numbers = body.get("instance_ids")
        if not _are_numbers(numbers) or not 0 < len(numbers) <= AT_ONCE:
            raise BadRequest(f"instance_ids must be a list of 1 to {AT_ONCE} numbers")
        there = [each for each in self._cloud.alive() if each.id in set(numbers)]
        for instance in there:
            self._cloud.destroy(instance)
        if len(there) < len(set(numbers)) and self._cloud.bulk_missing_as == "404":
            return refuse(404, "no_such_instance", "Some instances were not found")
        return answer({"success": True})

    async def update(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        instance = self._find(request)
        if body.keys() == {"label"}:
            return self._relabel(instance, body["label"])
        return await self._change_state([instance], body)

    async def update_many(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        numbers = body.pop("ids", None)
        if not _are_numbers(numbers):
            raise BadRequest("ids must be a list of numbers")
        return await self._change_state(
            [each for each in self._cloud.alive() if each.id in numbers], body
        )

    async def reboot(self, request: web.Request) -> web.Response:
        await read_body(request)
        await self._find(request).restart("rebooting")
        return answer({"success": True})

    async def recycle(self, request: web.Request) -> web.Response:
        await read_body(request)
        await self._find(request).restart("recycling")
        return answer({"success": True})

    async def change_bid(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        instance, price = self._find(request), body.get("price")
        most = 32 * instance.offer["num_gpus"]
        if price is not None and not (_is_number(price) and 0.001 <= price <= most):
            return refuse(400, "invalid_price", f"The price must be 0.001 to {most}")
        instance.accrue()
        instance.price = price or instance.offer["dph_base"]
        return answer({"success": True})

    def _find(self, request: web.Request) -> HostedInstance:
        number = int(request.match_info["id"])
        instance = self._cloud.instances.get(number)
        if instance is None or instance.gone is not None:
            raise BadRequest(f"Instance {number} not found", "no_such_instance", 404)
        return instance

    def _relabel(self, instance: HostedInstance, label: Any) -> web.Response:
        if not isinstance(label, str):
            raise BadRequest("the label must be a string")
        if len(label) > NEW_LABEL_AT_MOST:
            raise BadRequest(f"the label may have {NEW_LABEL_AT_MOST}", "label_too_long")
        instance.label = label.strip()
        return answer({"success": True})

    async def _change_state(self, instances: list[HostedInstance], body: Row) -> web.Response:
        if body.keys() != {"state"} or body["state"] not in ("running", "stopped"):
            raise BadRequest("only a label or a state can be changed")
        queued = False
        for instance in instances:
            if body["state"] == "stopped":
                await instance.stop()
                self._cloud.start_queued()
            else:
                queued = not self._cloud.start(instance) or queued
        if queued:
            text = "Required resources are currently unavailable, state change queued"
            return refuse(self._cloud.queued_start_as, "resources_unavailable", text)
        return answer({"success": True})


def check_create(body: Row) -> None:
    """:class:`BadRequest` for what the API refuses, and for every name that it does not know."""
    unknown = body.keys() - _FIELDS
    if unknown:
        raise BadRequest(f"unknown fields: {', '.join(sorted(unknown))}")
    image, disk, label, price = (body.get(name) for name in ("image", "disk", "label", "price"))
    if not isinstance(image, str) or not 0 < len(image) <= 1024 or image.split() != [image]:
        raise BadRequest("image must be a name of at most 1024 characters")
    if not _is_number(disk) or disk < 8:
        raise BadRequest("disk must be a number of at least 8")
    if label is not None and (not isinstance(label, str) or len(label) > LABEL_AT_MOST):
        raise BadRequest(f"label must be a string of at most {LABEL_AT_MOST} characters")
    if price is not None and (not _is_number(price) or not 0.001 <= price <= 128):
        raise BadRequest("price must be 0.001 to 128", "invalid_price")
    if not isinstance(body.get("cancel_unavail", False), bool):
        raise BadRequest("cancel_unavail must be true or false")
    _check_env(body.setdefault("env", {}))
    _check_command(body)


def _check_env(env: Any) -> None:
    if not isinstance(env, dict):
        raise BadRequest("env must be an object")
    for name, value in env.items():
        if not isinstance(value, str) or len(value) > VALUE_AT_MOST:
            raise BadRequest(f"env {name} must be a string of at most {VALUE_AT_MOST} characters")
        plain = name.replace("_", "a").isalnum() and not name[0].isdecimal()
        if not plain and not name.startswith(("-p ", "-h ")):
            raise BadRequest(f"env has no such name: {name!r}")
    if sum(len(name) + len(value) for name, value in env.items()) > ENV_AT_MOST:
        raise BadRequest(f"env may have {ENV_AT_MOST} characters")


def _check_command(body: Row) -> None:
    """A missing executable is not refused: the container fails to start, as it would there."""
    runtype, args = body.get("runtype"), body.get("args") or []
    onstart, text = body.get("onstart") or "", body.get("args_str") or ""
    if runtype not in _RUNTYPES:
        raise BadRequest(f"there is no runtype {runtype!r}")
    if not isinstance(args, list) or not all(isinstance(each, str) for each in args):
        raise BadRequest("args must be a list of strings")
    if not isinstance(onstart, str) or not isinstance(text, str):
        raise BadRequest("onstart and args_str must be strings")
    if args and runtype != "args":
        raise BadRequest("args needs the runtype args")
    if sum(map(len, args)) + len(onstart) + len(text) > SCRIPT_AT_MOST:
        raise BadRequest(f"args and onstart may have {SCRIPT_AT_MOST} characters together")


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

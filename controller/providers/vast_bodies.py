"""What is sent to the Vast.ai API to search its market and to rent from it."""

from __future__ import annotations

from typing import Any

from controller.errors import BadImage, ProviderError
from controller.labels import Label
from controller.providers.base import Launch, Need

#: The server gives no more at once, whatever is asked for.
OFFERS_A_PAGE = 64
#: args and onstart may have 4096 characters together (reference, ``x-input-validation``).
SCRIPT_BYTES = 4000
_ENV_VALUE_CHARS = 256
_ENV_CHARS = 32768
_LABEL_CHARS = 256
_SMALLEST_DISK_GB = 8.0
#: Cards report a little less memory than is written on them.
_GPU_RAM_SLACK = 0.92


def search_body(need: Need, cheapest: float) -> dict[str, Any]:
    """A search from this total price on, in $/h, the server's own defaults spelt out."""
    body: dict[str, Any] = {
        "verified": {"eq": True},
        "external": {"eq": False},
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "num_gpus": {"eq": 1},
        "type": "on-demand",
        "order": [["dph_total", "asc"]],
        "limit": OFFERS_A_PAGE,
        "allocated_storage": need.disk_gb,
    }
    price: dict[str, float] = {}
    if need.max_usd_per_hour is not None:
        price["lte"] = need.max_usd_per_hour
    if cheapest:
        price["gte"] = cheapest
    if price:
        body["dph_total"] = price
    if need.min_gpu_ram_gb:
        body["gpu_ram"] = {"gte": need.min_gpu_ram_gb * 1000 * _GPU_RAM_SLACK}
    if need.min_duration_s:
        body["duration"] = {"gte": need.min_duration_s}
    return body


def launch_body(launch: Launch, deployment: str) -> dict[str, Any]:
    """A create call, on demand. What the server would refuse is refused here.

    :class:`BadImage` = no other offer would do better.
    """
    label = Label.parse(launch.label)
    if label is None or label.deployment != deployment:
        raise ProviderError("nobody would find a machine with this label again")
    problem = _problem(launch)
    if problem:
        raise BadImage(problem)
    return {
        "image": launch.image,
        "disk": max(_SMALLEST_DISK_GB, launch.disk_gb),
        "label": launch.label,
        "env": dict(launch.env),
        "runtype": "args",
        # with args this is the entrypoint, a path and no script
        "onstart": "/bin/bash",
        "args": ["-c", launch.script],
        # an error instead of a stopped instance that is billed for its disk
        "cancel_unavail": True,
        "price": None,
        "target_state": "running",
    }


def _problem(launch: Launch) -> str:
    if not launch.image:
        return "there is no image"
    if not launch.script:
        return "there is no script"
    size = len(launch.script.encode())
    if size > SCRIPT_BYTES:
        return f"the script has {size} bytes, {SCRIPT_BYTES} at most are allowed"
    if len(launch.label) > _LABEL_CHARS:
        return "the label is too long"
    for name, value in launch.env.items():
        if len(value) > _ENV_VALUE_CHARS:
            return f"the environment's {name} is longer than {_ENV_VALUE_CHARS} characters"
    if sum(len(name) + len(value) for name, value in launch.env.items()) > _ENV_CHARS:
        return "the environment is too long"
    return ""

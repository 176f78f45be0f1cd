"""Rows of the Vast.ai API as offers and instances.

Every field may be missing, null or of another type; what is not known stays unknown. Units are
the API's: MB of 10⁶ bytes, Mb/s, $/h, $/GB, and $/GB/month of 720 h for disks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from controller.providers.base import Instance, InstanceStatus, Offer
from controller.providers.vast_answers import one_line

Row = Mapping[str, Any]

_HOURS_A_MONTH = 720.0

_IMAGE_FAILED = re.compile(
    r"manifest unknown|manifest for \S+ not found|pull access denied|repository does not exist"
    r"|\bunauthorized\b|invalid reference|requested access to the resource is denied",
    re.I,
)
_HOST_FAILED = re.compile(
    r"oci runtime|error response from daemon|cannot connect to the docker daemon"
    r"|no space left|permission denied|\berror\b|\bfailed\b",
    re.I,
)
_NO_CONTAINER = re.compile(r"no such container", re.I)
#: ``Download failed, retrying`` and the like: docker comes again by itself.
_HARMLESS = re.compile(r"\bretrying\b|^success", re.I)

_STATUSES = {
    "": InstanceStatus.CREATED,
    "created": InstanceStatus.CREATED,
    "scheduling": InstanceStatus.CREATED,
    "loading": InstanceStatus.PULLING,
    "rebooting": InstanceStatus.PULLING,
    "recycling": InstanceStatus.PULLING,
    "restarting": InstanceStatus.PULLING,
    "running": InstanceStatus.RUNNING,
    "exited": InstanceStatus.ENDED,
    "stopped": InstanceStatus.ENDED,
    "stopping": InstanceStatus.ENDED,
    "frozen": InstanceStatus.ENDED,
    "unknown": InstanceStatus.OFFLINE,
    "offline": InstanceStatus.OFFLINE,
}


def to_offer(row: Row, *, disk_gb: float, now: float) -> Offer | None:
    """An offer with its price for such a disk; None where it cannot be rented by this row."""
    offer_id = to_id(row.get("id"))
    usd_per_hour = hourly_usd(row, disk_gb)
    if offer_id is None or usd_per_hour is None or not _was_asked_for(row):
        return None
    gpus = max(1, int(_number(row, "num_gpus") or 1))
    gpu_mb = _number(row, "gpu_ram") or _share(_number(row, "gpu_total_ram"), 1 / gpus)
    ends_at = _number(row, "end_date")
    left_s = None if ends_at is None else max(0.0, ends_at - now)
    duration_s = _number(row, "duration")
    return Offer(
        id=offer_id,
        name=_text(row, "gpu_name") or "GPU",
        usd_per_hour=usd_per_hour,
        machine_id=to_id(row.get("machine_id")) or "",
        gpus=gpus,
        gpu_ram_gb=_share(gpu_mb, 1e-3),
        compute_capability=_share(_number(row, "compute_cap"), 1e-2),
        cuda=_number(row, "cuda_max_good"),
        tflops=_share(_number(row, "total_flops"), 1 / gpus),
        cpu_cores=_number(row, "cpu_cores_effective"),
        ram_gb=_ram_gb(row),
        disk_gb=_number(row, "disk_space"),
        down_mbps=_number(row, "inet_down"),
        up_mbps=_number(row, "inet_up"),
        usd_per_gb_down=_number(row, "inet_down_cost") or 0.0,
        usd_per_gb_up=_number(row, "inet_up_cost") or 0.0,
        reliability=_number(row, "reliability2", "reliability"),
        duration_s=left_s if duration_s is None else duration_s,
        country=_country(_text(row, "geolocation")),
    )


def to_instance(row: Row) -> Instance | None:
    """An instance of the listing; None where the row has no id: then it is not understood."""
    instance_id = to_id(row.get("id"))
    if instance_id is None:
        return None
    price = total_usd(row)
    if price is None:
        price = hourly_usd(row, _number(row, "disk_space") or 0.0)
    return Instance(
        id=instance_id,
        label=_text(row, "label"),
        status=status_of(row),
        detail=one_line(_text(row, "status_msg")),
        usd_per_hour=price,
    )


def status_of(row: Row) -> InstanceStatus:
    """Of the four status fields and the host's words (docs, ``show instance``; field reports)."""
    actual = _text(row, "actual_status").lower()
    intended = _text(row, "intended_status").lower()
    states = {intended, _text(row, "cur_state").lower(), _text(row, "next_state").lower()}
    words = _text(row, "status_msg")
    if actual == "running":
        return InstanceStatus.ENDED if states == {"stopped"} else InstanceStatus.RUNNING
    failure = _failure(words, is_stopped="stopped" in states)
    if failure is not None:
        return failure
    if states == {"stopped"}:
        return InstanceStatus.ENDED
    if actual == "loading" and not words and _is_dead(row):
        return InstanceStatus.HOST_FAILED
    if actual == "exited" and intended == "running":
        # the host starts a container again whenever it exits
        return InstanceStatus.PULLING
    return _STATUSES.get(actual, InstanceStatus.OFFLINE)


def hourly_usd(row: Row, disk_gb: float) -> float | None:
    """GPU and disk; None where no price is told."""
    base, storage = _number(row, "dph_base"), _number(row, "storage_cost")
    if base is not None and storage is not None:
        return base + disk_gb * storage / _HOURS_A_MONTH
    return total_usd(row)


def total_usd(row: Row) -> float | None:
    """As the API adds it up: what searches filter and order by."""
    return _number(row, "dph_total")


def to_id(value: object) -> str | None:
    """Ids are numbers; as text, so that nobody counts with them."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return text if text.isascii() and text.isdigit() else None


def _was_asked_for(row: Row) -> bool:
    """Searches filter by these, but not always."""
    return (
        row.get("rentable") is not False
        and row.get("rented") is not True
        and row.get("external") is not True
        and row.get("is_bid") is not True
        and (_text(row, "verification") or "verified") == "verified"
    )


def _ram_gb(row: Row) -> float | None:
    """``cpu_ram`` is the whole computer's: it is shared out as the cores are."""
    ram_mb, cores = _number(row, "cpu_ram"), _number(row, "cpu_cores")
    own_cores = _number(row, "cpu_cores_effective")
    if ram_mb is None or own_cores is None or not cores:
        return None
    return ram_mb / 1e3 * min(1.0, own_cores / cores)


def _country(place: str) -> str:
    """``Warsaw, PL``, ``, US``."""
    code = place[-2:]
    return code.upper() if len(code) == 2 and code.isascii() and code.isalpha() else ""


def _failure(words: str, *, is_stopped: bool) -> InstanceStatus | None:
    if _NO_CONTAINER.search(words):
        # also said of a container that is not made yet
        return InstanceStatus.HOST_FAILED if is_stopped else None
    if _IMAGE_FAILED.search(words):
        return InstanceStatus.IMAGE_FAILED
    if _HOST_FAILED.search(words) and not _HARMLESS.search(words):
        return InstanceStatus.HOST_FAILED
    return None


def _is_dead(row: Row) -> bool:
    return _text(row, "intended_status") == _text(row, "cur_state") == "stopped"


def _share(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _number(row: Row, *names: str) -> float | None:
    """The first that is a number of at least 0; -1 is the API's "not known"."""
    for name in names:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number) and number >= 0:
            return number
    return None


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""

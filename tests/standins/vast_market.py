"""Offers of the Vast.ai stand-in: what they look like, how they are filtered and priced."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

Row = dict[str, Any]

#: Hours in a month of storage, as the API counts them.
MONTH_H = 720
OFFERS_AT_MOST = 64

_offer_numbers = itertools.count(31_000_001)
_machine_numbers = itertools.count(20_001)

_TYPES = ("on-demand", "ondemand", "bid", "reserved")
_SETTINGS = {"order", "type", "limit", "allocated_storage", "disable_bundling", "extra_ids"}
#: What the server adds where a search does not say.
_DEFAULTS: Row = {"verified": {"eq": True}, "rentable": {"eq": True}, "rented": {"eq": False}}


class BadRequest(Exception):
    """The answer to a request that is not well formed."""

    def __init__(self, text: str, slug: str = "invalid_args", status: int = 400) -> None:
        super().__init__(text)
        self.slug = slug
        self.status = status


def make_offer(**changes: Any) -> Row:
    """A realistic offer; ``id`` and ``machine_id`` are new unless given. Typos are refused.

    ``dph_total`` is never set: it follows from the disk that a search asks for.
    """
    number = changes.pop("id", None) or next(_offer_numbers)
    machine = changes.pop("machine_id", None) or next(_machine_numbers)
    offer: Row = {
        "id": number, "ask_contract_id": number,
        "machine_id": machine, "host_id": machine + 50_000,
        "gpu_name": "RTX 3060", "num_gpus": 1, "gpu_frac": 1.0, "gpu_ram": 12288,
        "compute_cap": 860, "cuda_max_good": 12.8, "total_flops": 12.7, "dlperf": 12.1,
        "gpu_mem_bw": 340.0, "gpu_arch": "nvidia", "driver_version": "570.86.10",
        "dph_base": 0.05, "storage_cost": 0.15, "min_bid": 0.025,
        "inet_down": 500.0, "inet_up": 200.0, "inet_down_cost": 0.003, "inet_up_cost": 0.003,
        "reliability": 0.995, "verification": "verified", "hosting_type": 0, "vericode": 1,
        "disk_space": 200.0, "disk_bw": 1500.0, "disk_name": "nvme",
        "cpu_name": "Ryzen 9 5900X", "cpu_ram": 64000,
        "cpu_cores": 24, "cpu_cores_effective": 12.0,
        "cpu_ghz": 3.7, "cpu_arch": "amd64", "has_avx": 1,
        "pcie_bw": 12.0, "pci_gen": 4.0, "bw_nvlink": 0.0,
        "duration": 30 * 86400.0, "direct_port_count": 20, "static_ip": True,
        "public_ipaddr": "192.0.2.45 ", "geolocation": "Warsaw, PL", "score": 100.0,
        "external": False, "is_bid": False,
    }  # fmt: skip
    unknown = changes.keys() - offer.keys()
    if unknown:
        raise KeyError(f"an offer has no {', '.join(sorted(unknown))}")
    offer |= changes
    offer["gpu_total_ram"] = offer["gpu_ram"] * offer["num_gpus"]
    offer["reliability2"] = offer["reliability"]
    offer["driver_vers"] = _driver_number(offer["driver_version"])
    offer["end_date"] = time.time() + offer["duration"]
    return offer


def hourly_disk(offer: Row, disk_gb: float) -> float:
    """$ an hour."""
    return disk_gb * offer["storage_cost"] / MONTH_H


def search(rows: Iterable[Row], query: Row, *, unfiltered: Collection[str] = ()) -> list[Row]:
    """The rows that a search finds, priced for its disk, in its order, 64 at most.

    ``unfiltered`` fields are accepted and not applied, as happens. :class:`BadRequest`.
    """
    filters = {name: value for name, value in query.items() if name not in _SETTINGS}
    if query.get("type", "on-demand") not in _TYPES:
        raise BadRequest(f"invalid type {query['type']!r}")
    disk_gb = coerce(query.get("allocated_storage", 8.0), 0.0)
    found = []
    for row in rows:
        disk = hourly_disk(row, disk_gb)
        total = row["dph_base"] + disk
        found.append(
            row
            | {"storage_total_cost": disk, "dph_total": total, "discounted_dph_total": total}
            | {"dlperf_per_dphtotal": row["dlperf"] / total if total else 0.0}
            | {"flops_per_dphtotal": row["total_flops"] / total if total else 0.0}
        )
    types = _field_types()
    for name in filters:
        if name not in types:
            raise BadRequest(f"unknown filter {name!r}")
    wanted = {
        name: value for name, value in (_DEFAULTS | filters).items() if name not in unfiltered
    }
    found = [row for row in found if matches(row, wanted, types=types, views=_VIEWS)]
    found = _ordered(found, query.get("order", [["score", "desc"]]), types)
    limit = int(coerce(query.get("limit") or OFFERS_AT_MOST, 0))
    return found[: min(limit, OFFERS_AT_MOST)]


def matches(
    row: Row, filters: Row, *, types: Row, views: Mapping[str, Callable[[Row], Any]] = {}
) -> bool:
    """Whether ``{field: {op: value}}`` holds; numbers that come as strings are read as numbers."""
    for name, operations in filters.items():
        if not isinstance(operations, dict) or not operations:
            raise BadRequest(f"the filter of {name!r} must be an object of operations")
        actual = views[name](row) if name in views else row.get(name)
        for operation, value in operations.items():
            if not _holds(actual, operation, value, types[name]):
                return False
    return True


def coerce(value: Any, like: Any) -> Any:
    """``value`` in the type of ``like``."""
    if isinstance(like, bool):
        return value in (True, 1, "true", "True", "1")
    if isinstance(like, int | float):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise BadRequest(f"{value!r} is not a number") from None
        if not math.isfinite(number):
            raise BadRequest(f"{value!r} is not a number")
        return number
    return None if value is None else str(value)


_VIEWS: Mapping[str, Callable[[Row], Any]] = {
    "id": lambda row: None,  # this filter never finds anything: ask_contract_id is the one
    "verified": lambda row: row["verification"] == "verified",
    "datacenter": lambda row: row["hosting_type"] == 1,
    "geolocation": lambda row: row["geolocation"][-2:],
    "driver_version": lambda row: row["driver_vers"],
}


def _holds(actual: Any, operation: str, value: Any, like: Any) -> bool:
    if operation in ("in", "notin"):
        if not isinstance(value, list):
            raise BadRequest(f"{operation} needs a list")
        among = coerce_none(actual, like) in [coerce(each, like) for each in value]
        return actual is not None and among is (operation == "in")
    if operation not in _COMPARE:
        raise BadRequest(f"unknown operation {operation!r}")
    wanted = coerce_none(value, like)
    if actual is None or wanted is None:
        return False
    return _COMPARE[operation](coerce(actual, like), wanted)


def coerce_none(value: Any, like: Any) -> Any:
    return None if value is None else coerce(value, like)


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "neq": lambda a, b: a != b,
    "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
}  # fmt: skip


def _ordered(rows: list[Row], order: Any, types: Row) -> list[Row]:
    if not isinstance(order, list):
        raise BadRequest("order must be a list of pairs")
    for each in reversed(order):
        if not isinstance(each, list) or len(each) != 2 or each[1] not in ("asc", "desc"):
            raise BadRequest(f"order must be a list of [field, asc|desc], not {each!r}")
        name, direction = each
        if name not in types:
            raise BadRequest(f"cannot order by {name!r}")
        known = [row for row in rows if row.get(name) is not None]
        rest = [row for row in rows if row.get(name) is None]
        known.sort(key=lambda row: row[name], reverse=direction == "desc")
        rows = known + rest
    return rows


def _field_types() -> Row:
    example = make_offer(id=1, machine_id=1)
    return example | {
        "verified": True, "datacenter": True, "rentable": True, "rented": True,
        "dph_total": 0.0, "storage_total_cost": 0.0, "discounted_dph_total": 0.0,
        "dlperf_per_dphtotal": 0.0, "flops_per_dphtotal": 0.0, "driver_version": 0,
    }  # fmt: skip


def _driver_number(version: str) -> int:
    """``535.86.05`` is 535086005."""
    major, minor, patch = (int(part) for part in (*version.split("."), "0", "0")[:3])
    return major * 1_000_000 + minor * 1000 + patch

"""Promise 9: a signed address is a key, so it is known who may have which."""

import re
from urllib.parse import unquote

_ADDRESS = re.compile(rb"https://bucket\.sim/nox/([^?\s\"'\\<>]+)\?method=(\w+)")
#: Where they may be, and which: the numbers stand for what the groups of the place have found.
_ALLOWED: dict[str, tuple[str, ...]] = {
    r"jobs/(\w+)/(\d+)/grant": (
        r"GET input/.+",
        r"GET jobs/{0}/{1}/result",
        r"GET jobs/\w+/parts/\d+-\d+\.\w+",
        r"PUT jobs/{0}/{1}/[\w.]+",
        r"PUT jobs/{0}/parts/\d+-{1}\.\w+",
    ),
    r"machines/(\w+)/orders": (r"GET jobs/\w+/\d+/grant", r"PUT machines/{0}/status"),
    r"machines/(\w+)/second": (
        r"GET machines/{0}/orders",
        r"GET machines/bundles/\w+\.tar\.gz",
        r"PUT machines/{0}/boot",
    ),
    r"machines/(\w+)/first": (r"GET machines/{0}/second", r"PUT machines/{0}/boot"),
    r"a message": (r"GET output/.+", r"GET jobs/\w+/\d+/(preview\.mp4|frame)"),
}


def list_addresses(data: bytes) -> list[str]:
    """Methods and keys of all that are in it."""
    found = {(unquote(key.decode()), method.decode()) for key, method in _ADDRESS.findall(data)}
    return [f"{method} {key}" for key, method in sorted(found)]


def find_strange(place: str, found: list[str]) -> list[str]:
    """Those that have no business at that place, which is a key or one of a few others."""
    for pattern, allowed in _ALLOWED.items():
        if match := re.fullmatch(pattern, place):
            wanted = [each.format(*match.groups()) for each in allowed]
            return [each for each in found if not any(re.fullmatch(w, each) for w in wanted)]
    return found

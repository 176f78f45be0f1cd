"""Documents and texts as nobody would send them: made of good ones by a random generator."""

import copy
import gzip
import json
import math
import random

#: In the place of any value.
ODD = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**63, -(2**64), 10**400, 1e308,
    math.nan, math.inf, -math.inf, "", " ", "0", "null", "nan", "1e999", "\x00", "\ud800",
    "é" * 300, "x" * 5000, "../../etc/passwd", "file:///etc/passwd", "http://[::1", "<html>",
    "%s{}$", [], {}, [[]], [None], {"": None}, [{}],
)  # fmt: skip
NAMES = ("", "version", "success", "error", "id", "__class__", "\x00", "x" * 300)
_DEEP = 3000


def bend(document, rng: random.Random, times: int | None = None):
    """A copy of a JSON value with some of it changed, left out or added."""
    bent = [copy.deepcopy(document)]
    for _ in range(times or rng.choice((1, 1, 1, 2, 3, 5))):
        _bend_once(bent, rng)
    return bent[0]


def _bend_once(root: list, rng: random.Random) -> None:
    holder, key = rng.choice(_places(root))
    value = holder[key]
    match rng.randrange(14):
        case 0 if holder is not root:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[_misspell(str(key), rng)] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder[rng.choice(NAMES)] = copy.deepcopy(rng.choice(ODD))
        case 3 if isinstance(value, list) and value:
            value.append(copy.deepcopy(rng.choice(value)))
        case 4 if isinstance(value, list) and value:
            del value[rng.randrange(len(value)) :]
        case 5 if isinstance(value, (int, float, str)):
            holder[key] = _like(value, rng)
        case 6:
            holder[key] = rng.choice(([value], {"value": value}, str(value)))
        case 7:
            # another value of the same document: of the right form, in the wrong place
            other_holder, other_key = rng.choice(_places(root))
            holder[key] = copy.deepcopy(other_holder[other_key])
        case _:
            holder[key] = copy.deepcopy(rng.choice(ODD))


def _like(value, rng: random.Random):
    """Of the same type, and next to right."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return rng.choice((value[:-1], value + "x", value.upper(), value[::-1], f" {value} "))
    if not abs(value) < 1e300:
        return 0
    return rng.choice((value + 1, value - 1, -value, value * 2, value * 10**6, value / 3))


def _misspell(name: str, rng: random.Random) -> str:
    return rng.choice((name.upper(), f"{name}s", name[:-1], f" {name}", f"_{name}"))


def _places(root: list) -> list[tuple]:
    """Every place of a value in a document, as its holder and its key there."""
    found, waiting = [], [(root, 0)]
    while waiting and len(found) < 2000:
        holder, key = waiting.pop()
        found.append((holder, key))
        value = holder[key]
        if isinstance(value, dict):
            waiting += [(value, name) for name in value]
        elif isinstance(value, list):
            waiting += [(value, at) for at in range(len(value))]
    return found


def write(document) -> bytes:
    """As JSON, also what no JSON should hold: NaN, halves of characters."""
    return json.dumps(document).encode()


def spoil(text: bytes, rng: random.Random) -> bytes:
    """Something else than the text of a document, or that text with bytes of it changed."""
    match rng.randrange(16):
        case 0:
            return text[: rng.randrange(len(text) + 1)]
        case 1:
            return text + rng.choice((b"\x00", b"}", b"null", text, b" " * 1000))
        case 2:
            return b"\xef\xbb\xbf" + text
        case 3:
            return text.decode("utf-8", "replace").encode(
                rng.choice(("utf-16", "utf-32", "cp037"))
            )
        case 4:
            return rng.choice((b"", b"null", b"[]", b"{}", b"true", b"0", b'""', b"-", b"NaN"))
        case 5:
            return b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
        case 6:
            return b"[" * _DEEP + text + b"]" * _DEEP
        case 7:
            return b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
        case 8:
            return gzip.compress(text)
        case 9:
            return rng.randbytes(rng.choice((1, 7, 300)))
        case 10:
            return b"[" + text + b"]"
        case 11:
            return b'{"a": 1' + b"0" * 5000 + b"}"
        case _:
            return flip(text, rng, rng.choice((1, 2, 8)))


def flip(data: bytes, rng: random.Random, bits: int, weighted: bool = False) -> bytes:
    """Some bits the other way; where that is ``weighted``, most of them near the start."""
    changed = bytearray(data)
    for _ in range(bits if changed else 0):
        share = rng.random() ** 4 if weighted else rng.random()
        changed[int(share * len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)

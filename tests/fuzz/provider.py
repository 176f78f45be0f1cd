"""Answers of the rental service, bent and broken, into the client that rents by them.

Only the two kinds of error that callers know come out. A create call leaves once, and nothing that
may have been created is called refused. A listing that is taken for complete is the whole truth.
"""

import asyncio
import json
import math
from collections.abc import Iterable
from pathlib import Path

from controller.errors import ProviderError, RateLimited, Unclear
from controller.providers.base import Need, Offer
from tests.controller.vast_script import FakeTime, error, launch, provider_at
from tests.fuzz.bending import bend, spoil, write
from tests.fuzz.tally import Case, Kind, Tally
from tests.fuzz.wire import Asked, Said, choose_manner, choose_status, listening

_OFFER = Offer(id="7", name="RTX 3060", usd_per_hour=0.05)
_PAGE = 25
_REFUSALS = (
    error("auth_error", "Invalid user key"), error("no_such_ask", "gone"), error("invalid_args"),
    error("insufficient_credit", "Your account lacks credit"), error("rate_limit_exceeded"),
    error("no_such_instance", "not there"), {"detail": "Not Found"}, {"success": False},
    error("search_quota_exceeded", retry_after=10**9), {"msg": "state change queued"},
)  # fmt: skip


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    asyncio.run(_run(tally, numbers))


async def _run(tally: Tally, numbers: Iterable[int]) -> None:
    async with listening() as wire:
        for number in numbers:
            with tally.case(number) as case:
                wire.asked.clear()
                before = len(asyncio.all_tasks())
                provider = provider_at(wire.url, FakeTime(), timeout_s=0.3)
                deed = case.rng.choice(_DEEDS)
                try:
                    await deed(case, wire, provider)
                except (ProviderError, Unclear) as problem:
                    assert str(problem), "an error without words"
                    case.refuse(type(problem).__name__)
                else:
                    case.accept()
                finally:
                    await provider.close()
                await _settle(before)


async def _settle(before: int) -> None:
    """No task of the client goes on."""
    for _ in range(200):
        if len(asyncio.all_tasks()) <= before + 1:  # a connection of the server may end later
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"tasks go on: {asyncio.all_tasks()}")


class Bent:
    """Bends some of the answers of a case; ``said`` has them all."""

    def __init__(self, case: Case, *, gently: bool = False, first: int | None = None) -> None:
        self._case = case
        self._gently = gently
        self._spoilt = case.rng.choice((0, 0, 0, 1, 2)) if first is None else first
        """Which answer is the first that is not as it should be."""
        self._always = case.rng.random() < 0.3
        self.said: list[Said] = []

    def __call__(self, document: object) -> Said:
        """What is said in the place of a document."""
        self.said.append(self._choose(document))
        return self.said[-1]

    def _choose(self, document: object) -> Said:
        rng, place = self._case.rng, len(self.said)
        if place < self._spoilt or (place > self._spoilt and not self._always):
            return Said(body=write(document))
        how = rng.random()
        if how < 0.45:
            said = Said(body=write(bend(document, rng, 1 if self._gently else None)))
        elif how < 0.70:
            said = Said(body=spoil(write(document), rng), status=choose_status(rng))
        elif how < 0.85:
            said = Said(body=write(rng.choice(_REFUSALS)), status=choose_status(rng))
        else:
            manner = choose_manner(rng)
            location = (("Location", rng.choice(("/", "http://127.0.0.1:1/", "://x"))),)
            said = Said(
                body=write(document), status=choose_status(rng), manner=manner, headers=location
            )
        self._case.told += f" {said.status} {said.manner} {said.body[:90]!r};"
        return said


async def _list(case: Case, wire, provider) -> None:
    size = case.rng.choice((0, 1, 24, 25, 26, 60))
    rows = [_instance(number) for number in range(1, size + 1)]
    bent = Bent(case, gently=True)

    def answer(asked):
        token = asked.query.get("after_token", "t0")[1:]
        start = int(token) if token.isdecimal() and len(token) < 6 else 0
        end = start + _PAGE
        return bent(
            {"success": True, "instances": rows[start:end], "total_instances": size,
             "next_token": f"t{end}" if end < size else None}
        )  # fmt: skip

    wire.answer = answer
    case.told = f"listing of {size}:"
    found = await provider.instances()
    wanted = {(str(row["id"]), row["label"]) for row in rows}
    listed = {(each.id, each.label) for each in found}
    assert len(found) == len(listed) == size, f"{len(found)} of {size} were taken for all"
    # another id or label in a row that is there cannot be told from a right one
    assert len(wanted - listed) <= case.told.count(";"), f"{wanted - listed} are missing"


async def _create(case: Case, wire, provider) -> None:
    case.told, bent = "create:", Bent(case, gently=True, first=0)
    wire.answer = lambda asked: bent({"success": True, "new_contract": 41})
    try:
        instance = await provider.create(_OFFER, launch())
    except ProviderError as refusal:
        (said,) = bent.said  # without an answer nothing is known
        if isinstance(refusal, RateLimited):
            assert said.status == 429 or b"_exceeded" in said.body
            assert not said.body.startswith(b'{"') or b'"new_contract"' not in said.body
        else:
            assert b"new_contract" not in said.body, "called refused, but created"
        raise
    finally:
        assert wire.count("PUT /api/v0/asks/7/") == len(wire.asked) <= 1
    (said,) = bent.said
    assert str(json.loads(said.body.decode("utf-8", "replace"))["new_contract"]) == instance


async def _destroy(case: Case, wire, provider) -> None:
    ids = {str(number) for number in range(5, 5 + case.rng.choice((1, 1, 2, 5, 70)))}
    case.told, bent = f"destroy {len(ids)}:", Bent(case)
    document = case.rng.choice(({"success": True}, error("busy", "try later"), {"success": False}))
    wire.answer = lambda asked: bent(document)
    gone = await provider.destroy(ids)
    told = [
        each for asked, said in zip(wire.asked, bent.said, strict=True) if _says_gone(said)
        for each in _ids_in(asked)
    ]  # fmt: skip
    assert gone <= set(told), f"nobody said that {gone - set(told)} are gone"


def _ids_in(asked: Asked) -> list[str]:
    """The instances that a call is to end: many, or the one of its path."""
    many = json.loads(asked.body).get("instance_ids")
    return [asked.path.strip("/").rpartition("/")[2]] if many is None else list(map(str, many))


def _says_gone(said: Said) -> bool:
    try:
        body = json.loads(said.body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict) or said.status >= 500:
        return False
    told = f"{body.get('error')} {body.get('msg')} {body.get('message')} {body.get('detail')}"
    words = ("no_such_instance", "not_found", "invalid_id")
    return body.get("success") is True or any(each in told for each in words)


async def _offers(case: Case, wire, provider) -> None:
    case.told, bent = "offers:", Bent(case)
    rows = [_offer(number) for number in range(1, case.rng.choice((1, 3, 70)))]
    wire.answer = lambda asked: bent({"offers": rows[:64]})
    offers = await provider.offers(Need(disk_gb=20.0))
    for offer in offers:
        assert offer.id.isdecimal(), offer
        assert offer.gpus >= 1, offer
        figures = (
            offer.usd_per_hour, offer.gpu_ram_gb, offer.tflops, offer.usd_per_gb_down,
            offer.usd_per_gb_up, offer.duration_s, offer.disk_gb, offer.ram_gb,
        )  # fmt: skip
        assert all(each is None or (math.isfinite(each) and each >= 0) for each in figures), offer
    assert offers == sorted(offers, key=lambda each: (each.usd_per_hour, each.id))


async def _logs(case: Case, wire, provider) -> None:
    case.told, bent = "logs:", Bent(case)
    data = case.rng.choice((b"one\ntwo\n", b"\xff\xfe\x00", b"", b"No such container: C.5\n"))

    def answer(asked):
        if asked.path.startswith("/log"):
            manner = choose_manner(case.rng)
            manner = "plain" if manner in ("silent", "endless") else manner  # fifteen of them
            return Said(body=data, kind="text/plain", manner=manner,
                        headers=(("Last-Modified", case.rng.choice(_DATES)),))  # fmt: skip
        return bent({"success": True, "result_url": f"{wire.url}/log"})

    wire.answer = answer
    lines = await provider.logs("5", 3)
    assert lines is None or (len(lines) <= 3 and all(isinstance(each, str) for each in lines))


_DATES = (
    "Fri, 15 Jan 2027 08:00:00 GMT", "Fri, 15 Jan 2027 09:00:00 GMT", "", "yesterday", "0",
    "Mon, 99 Foo 99999 99:99:99 GMT", "Fri, 15 Jan 0001 00:00:00 +2400", "x" * 400,
)  # fmt: skip


async def _credit(case: Case, wire, provider) -> None:
    case.told, bent = "credit:", Bent(case)
    wire.answer = lambda asked: bent({"id": 3, "credit": 5.25, "email": "x@example.org"})
    credit = await provider.credit_usd()
    assert isinstance(credit, float) and math.isfinite(credit), credit


_DEEDS = (_list, _list, _list, _create, _create, _destroy, _destroy, _offers, _logs, _credit)


def _instance(number: int) -> dict:
    return {
        "id": number, "label": f"label-{number}", "actual_status": "running",
        "intended_status": "running", "cur_state": "running", "next_state": "running",
        "status_msg": "success, running img/args", "dph_total": 0.06,
    }  # fmt: skip


def _offer(number: int) -> dict:
    return {
        "id": number, "machine_id": 900 + number, "gpu_name": "RTX 3060", "num_gpus": 1,
        "gpu_ram": 12288, "compute_cap": 860, "cuda_max_good": 12.8, "total_flops": 12.7,
        "dph_base": 0.05, "storage_cost": 0.144, "dph_total": 0.054, "inet_down": 500.0,
        "inet_up": 200.0, "inet_down_cost": 0.003, "inet_up_cost": 0.002, "reliability2": 0.99,
        "verification": "verified", "disk_space": 200.0, "cpu_ram": 64000, "cpu_cores": 24,
        "cpu_cores_effective": 12.0, "duration": 86400.0, "geolocation": "Warsaw, PL",
    }  # fmt: skip


KINDS = (
    Kind(name="provider", count=1500, quick=60, run=run, must_accept=0.1, must_refuse=0.3),
)  # fmt: skip

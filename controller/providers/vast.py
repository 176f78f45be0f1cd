"""Machines of Vast.ai: its market, its instances and their logs, as every provider has them."""

from __future__ import annotations

import asyncio
import json
import logging
import random as random_numbers
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from controller.errors import (
    BadKey,
    ControllerError,
    ProviderError,
    RateLimited,
    Unclear,
)
from controller.providers import vast_api, vast_logs
from controller.providers.base import Instance, Launch, Need, Offer
from controller.providers.vast_answers import Answer, describe, refusal
from controller.providers.vast_api import VastApi
from controller.providers.vast_bodies import OFFERS_A_PAGE, launch_body, search_body
from controller.providers.vast_rows import Row, to_id, to_instance, to_offer, total_usd

log = logging.getLogger(__name__)

#: The server gives no more at once, whatever is asked for.
_ROWS_A_PAGE = 25
_OFFER_PAGES = 4
_LIST_PAGES = 400
_DESTROYED_AT_ONCE = 64
_MOST_USD = 1e9


class VastProvider:
    """Rents from one account; of its machines, those with labels of this deployment are ours."""

    name = "vast"
    rents = True
    settle_s = 120.0
    silence_s = 300.0
    boot_s = 300.0

    def __init__(
        self,
        *,
        key: str,
        url: str,
        deployment: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_numbers.random,
        timeout_s: float = 60.0,
    ) -> None:
        self.api = VastApi(
            key=key, url=url, clock=clock, sleep=sleep, random=random, timeout_s=timeout_s
        )
        self._deployment = deployment
        self._clock, self._sleep = clock, sleep
        self._listing: asyncio.Task[list[Instance]] | None = None

    async def offers(self, need: Need) -> list[Offer]:
        seen: dict[str, Row] = {}
        cheapest = 0.0
        for _ in range(_OFFER_PAGES):
            rows = await self._search(need, cheapest)
            known = len(seen)
            seen |= {str(row.get("id")): row for row in rows}
            if len(rows) < OFFERS_A_PAGE or len(seen) == known:
                break
            cheapest = max(total_usd(row) or 0.0 for row in rows)
        now = self._clock()
        mapped = [to_offer(row, disk_gb=need.disk_gb, now=now) for row in seen.values()]
        offers = [offer for offer in mapped if offer is not None]
        log.debug("%d offers, and %d rows that are none", len(offers), len(seen) - len(offers))
        return sorted(offers, key=lambda offer: (offer.usd_per_hour, offer.id))

    async def create(self, offer: Offer, launch: Launch) -> str:
        if to_id(offer.id) is None:
            raise ProviderError(f"{offer.id!r} is no offer of this provider")
        body = launch_body(launch, self._deployment)
        answer = await self.api.call_once(vast_api.CREATE, id=offer.id, body=body)
        if not answer.ok or answer.body is None:
            raise refusal(answer)
        contract = answer.body.get("new_contract")
        if isinstance(contract, bool) or not isinstance(contract, int) or contract <= 0:
            raise Unclear("the create call was answered without an instance")
        return str(contract)

    async def instances(self) -> list[Instance]:
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._list())
            self._listing.add_done_callback(_retrieve)
        # whoever came later gets the same answer, and nobody who leaves takes it from the others
        return list(await asyncio.shield(self._listing))

    async def destroy(self, instance_ids: Collection[str]) -> set[str]:
        ids = sorted({each for each in instance_ids if to_id(each)}, key=int)
        # what is no number was never an instance of this provider
        gone = set(instance_ids) - set(ids)
        problem: ControllerError | None = None
        for start in range(0, len(ids), _DESTROYED_AT_ONCE):
            try:
                gone |= await self._destroy_chunk(ids[start : start + _DESTROYED_AT_ONCE])
            except (ProviderError, Unclear) as error:
                log.warning("Instances are not proven destroyed: %s", error)
                problem = error
                if isinstance(error, BadKey | RateLimited):
                    break
        if problem is not None and not gone:
            raise problem
        return gone

    async def logs(self, instance_id: str, lines: int) -> list[str] | None:
        if to_id(instance_id) is None:
            return None
        return await vast_logs.read(
            self.api, instance_id, lines, clock=self._clock, sleep=self._sleep
        )

    async def credit_usd(self) -> float | None:
        credit = (await self.api.user()).get("credit")
        if isinstance(credit, bool) or not isinstance(credit, int | float):
            raise Unclear("the account does not tell its credit")
        # JSON may hold NaN, and whole numbers that are too large for a float
        if not abs(credit) < _MOST_USD:
            raise Unclear("the account tells a credit that is none")
        return float(credit)

    async def close(self) -> None:
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)
        await self.api.close()

    async def _search(self, need: Need, cheapest: float) -> list[Row]:
        answer = await self.api.call(vast_api.SEARCH, body=search_body(need, cheapest))
        if not answer.ok or answer.body is None:
            raise refusal(answer)
        rows = answer.body.get("offers")
        if not isinstance(rows, list):
            raise Unclear("the search was answered without offers")
        return [row for row in rows if isinstance(row, dict)]

    async def _list(self) -> list[Instance]:
        """All pages, or :class:`Unclear`: a page that is missing would read as machines gone."""
        found: dict[str, Instance] = {}
        tokens: set[str] = set()
        told_total = 0
        token: str | None = None
        for _ in range(_LIST_PAGES):
            page = await self._list_page(token)
            for row in page["instances"]:
                instance = to_instance(row) if isinstance(row, dict) else None
                if instance is None:
                    raise Unclear("the listing has a row that is not understood")
                found[instance.id] = instance
            told_total = max(told_total, _total(page))
            token = page.get("next_token")
            if not token:
                break
            if not isinstance(token, str) or token in tokens:
                raise Unclear("the pages of the listing lead nowhere")
            tokens.add(token)
        else:
            raise Unclear(f"the listing has more than {_LIST_PAGES} pages")
        if told_total != len(found):
            raise Unclear(f"the listing shows {len(found)} of {told_total} instances")
        return list(found.values())

    async def _list_page(self, token: str | None) -> dict[str, Any]:
        query = {
            "select_filters": "{}",
            "order_by": json.dumps([{"col": "id", "dir": "asc"}]),
            "limit": str(_ROWS_A_PAGE),
        }
        if token:
            query["after_token"] = token
        try:
            answer = await self.api.call(vast_api.LIST, query=query)
        except RateLimited as error:
            raise Unclear(f"no listing: {error}") from error
        if answer.refuses_key and answer.body is not None:
            raise BadKey(describe(answer))
        body = answer.body
        if answer.status != 200 or not answer.ok or body is None:
            raise Unclear(f"no listing: {describe(answer)}")
        if not isinstance(body.get("instances"), list):
            raise Unclear("the listing has no list of instances")
        return body

    async def _destroy_chunk(self, ids: Sequence[str]) -> set[str]:
        """The ids that are gone. A refusal of many may be of one of them: halve, and ask again."""
        if len(ids) == 1:
            answer = await self.api.call(vast_api.DESTROY, id=ids[0], body={})
            if _is_done(answer) or answer.says_gone:
                return set(ids)
            raise refusal(answer)
        numbers = [int(each) for each in ids]
        answer = await self.api.call(vast_api.DESTROY_MANY, body={"instance_ids": numbers})
        if _is_done(answer):
            return set(ids)
        error = refusal(answer)
        if isinstance(error, Unclear | BadKey | RateLimited):
            raise error
        return await self._destroy_halves(ids, error)

    async def _destroy_halves(self, ids: Sequence[str], error: ControllerError) -> set[str]:
        log.debug("Destroying %d instances in halves: %s", len(ids), error)
        gone: set[str] = set()
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            try:
                gone |= await self._destroy_chunk(half)
            except (ProviderError, Unclear) as problem:
                log.warning("Instances are not proven destroyed: %s", problem)
                error = problem
        if not gone:
            raise error
        return gone


def _total(page: dict[str, Any]) -> int:
    """How many there are in all: a page that does not tell proves nothing."""
    total = page.get("total_instances")
    if not isinstance(total, int) or isinstance(total, bool):
        raise Unclear("the listing does not tell how many instances there are")
    return total


def _is_done(answer: Answer) -> bool:
    """``{}`` or ``false`` is no success here: what is left alive costs money."""
    return answer.ok and answer.body is not None and answer.body.get("success") is True


def _retrieve(task: asyncio.Task[list[Instance]]) -> None:
    """A failure that everybody has stopped waiting for is nobody's any more."""
    if not task.cancelled():
        task.exception()

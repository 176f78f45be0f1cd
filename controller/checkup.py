"""Looks at what a deployment rests on, before it is needed: keys, bucket, market, image, webhook.

Nothing is rented. The storage is tried with one small object, which is removed again.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from controller import market
from controller.alerts import CREDIT_LOW_USD, CREDIT_NONE_USD
from controller.errors import BadKey, ProviderError, StorageError, Unclear
from controller.images import parse_image_cuda
from controller.labels import Label
from controller.market import Wish
from controller.mirror import PREFIX, list_files
from controller.model_names import PUBLISHED
from controller.orphans import find_orphans
from controller.providers.base import Instance, Need, Provider
from controller.redaction import redact
from controller.settings import Settings
from controller.storage.base import Storage

_SKEW_S = 60.0
_LONGEST_SKEW_S = 600.0
_WEBHOOK_S = 10.0
#: An ordinary job, to ask the market for.
_SAMPLE_IN_GB, _SAMPLE_OUT_GB = 0.5, 1.0
_SAMPLE_DISK_GB = 20.0
_SAMPLE_GPU_RAM_GB = 6.0
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_RELEASE = re.compile(r"v?\d+(\.\d+)*\S*|refs/tags/\S+|.*\d+\.\d+.*")


class Bucket(Protocol):
    """What a storage that can be examined does beside storing."""

    async def check_access(self) -> None: ...

    async def clock_skew_s(self) -> float: ...

    async def has_lifecycle(self) -> bool | None: ...

    async def cors_allows_download(self) -> bool | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``level``: ok, warn or fail."""

    name: str
    level: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"[{self.level.upper():<4}] {self.name}: {self.detail}{remedy}"


def ok(name: str, detail: str) -> Finding:
    return Finding(name=name, level="ok", detail=detail)


def warn(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, level="warn", detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, level="fail", detail=detail, remedy=remedy)


async def examine_provider(
    provider: Provider, settings: Settings, *, deployment: str | None, now: float
) -> list[Finding]:
    """The key, the credit, what runs, and whether anything is to be had under the cap."""
    try:
        credit = await provider.credit_usd()
    except BadKey:
        remedy = "make a new key on the provider's site and set VAST_API_KEY"
        return [fail("vast key", "the key is not accepted", remedy)]
    except (ProviderError, Unclear) as error:
        detail = f"{settings.vast_url} does not answer: {_safe(error, settings)}"
        return [fail("vast key", detail, "check the network and VAST_URL")]
    return [
        ok("vast key", "accepted; whether it may rent is seen when it rents"),
        _judge_credit(credit),
        *await _examine_machines(provider, settings, deployment, now),
        await _examine_market(provider, settings),
    ]


async def examine_bucket(bucket: Bucket, settings: Settings) -> list[Finding]:
    """Reading, writing, listing and deleting; the clock; rules of the bucket."""
    try:
        await bucket.check_access()
    except StorageError as error:
        remedy = (
            "B2_KEY must be an application key for this bucket that may list, read, write and "
            "delete files; B2_ENDPOINT must be the bucket's own"
        )
        return [fail("bucket", _safe(error, settings), remedy)]
    findings = [ok("bucket", f"{settings.b2_bucket} can be listed, read, written and cleaned")]
    try:
        findings.append(_judge_skew(await bucket.clock_skew_s()))
        findings.append(_judge_lifecycle(await bucket.has_lifecycle()))
        findings.append(_judge_cors(await bucket.cors_allows_download()))
    except StorageError as error:
        findings.append(
            warn("bucket rules", _safe(error, settings), "look at the bucket's settings")
        )
    return findings


async def examine_mirror(storage: Storage) -> Finding:
    """Which published weights lie in storage, so that machines do not fetch them elsewhere."""
    try:
        files = await list_files(storage)
    except StorageError as error:
        remedy = "look at the storage; jobs fetch models from where they were published meanwhile"
        return warn("models mirror", f"{PREFIX} cannot be listed: {type(error).__name__}", remedy)
    held = f"{len(files)} of {len(PUBLISHED)} published files in {PREFIX}"
    return ok("models mirror", f"{held}: {', '.join(files)}" if files else held)


def examine_image(settings: Settings) -> list[Finding]:
    """Whether every machine will run the same software, and which cards can."""
    tag = settings.image.rpartition("/")[2].partition(":")[2]
    pinned = "@sha256:" in settings.image or any(each.isdigit() for each in tag)
    cuda = parse_image_cuda(settings.image)
    if not pinned:
        remedy = "name a version or a digest in NOXFVR_IMAGE, so that it is the same every day"
        image = warn("image", f"{settings.image} names no version", remedy)
    elif cuda is None and settings.runner_device == "cuda":
        remedy = "a tag like …cuda12.8… lets machines be chosen that can run it"
        image = warn("image", f"{settings.image} does not tell its CUDA release", remedy)
    else:
        image = ok("image", settings.image)
    if not settings.git_url:
        return [image]
    ref = settings.git_ref
    if _COMMIT.fullmatch(ref) or _RELEASE.fullmatch(ref):
        return [image, ok("git ref", ref)]
    remedy = "pin a commit or a tag in NOXFVR_GIT_REF: a branch moves between two machines"
    return [image, warn("git ref", f"{ref} looks like a branch", remedy)]


async def examine_webhook(settings: Settings) -> Finding:
    """Whether something answers at the address; its path may be a secret and is not shown."""
    host = urlsplit(settings.webhook_url).hostname or ""
    timeout = aiohttp.ClientTimeout(total=_WEBHOOK_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.head(settings.webhook_url, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        remedy = "check NOXFVR_WEBHOOK_URL; what is not accepted is told again later"
        return warn("webhook", f"{host} does not answer ({type(error).__name__})", remedy)
    if status >= 500:
        return warn("webhook", f"{host} answers with HTTP {status}", "look at its own log")
    # a receiver need not know this method: any answer shows that it is there
    return ok("webhook", f"{host} answers")


def _judge_credit(credit: float | None) -> Finding:
    if credit is None:
        return ok("vast credit", "nothing is paid")
    detail = f"${credit:.2f}"
    remedy = "add credit on the provider's site"
    if credit < CREDIT_NONE_USD:
        return fail("vast credit", f"{detail}: nothing will be rented", remedy)
    if credit < CREDIT_LOW_USD:
        return warn("vast credit", detail, remedy)
    return ok("vast credit", detail)


async def _examine_machines(
    provider: Provider, settings: Settings, deployment: str | None, now: float
) -> list[Finding]:
    try:
        instances = await provider.instances()
    except (ProviderError, Unclear) as error:
        remedy = "the key must be allowed to read instances; nothing is rented meanwhile"
        return [fail("machines", f"no complete listing: {_safe(error, settings)}", remedy)]
    labels = [label for each in instances if (label := Label.parse(each.label))]
    mine = sum(label.deployment == deployment for label in labels)
    detail = f"{mine} of this deployment, {len(instances)} on the account"
    return [ok("machines", detail), *_find_expired(instances, now)]


def _find_expired(instances: Collection[Instance], now: float) -> list[Finding]:
    expired = find_orphans(instances, deployment=None, claimed=(), now=now)
    if not expired:
        return []
    detail = f"{len(expired)} past their deadline: " + ", ".join(
        f"#{each.instance}" for each in expired[:10]
    )
    remedy = "noxfvr reap, with NOXFVR_DATA_DIR set to a folder that is not there, destroys them"
    return [warn("orphans", detail, remedy)]


async def _examine_market(provider: Provider, settings: Settings) -> Finding:
    cap = settings.max_price
    cpu = settings.runner_device == "cpu"
    wish = Wish(
        need=Need(disk_gb=_SAMPLE_DISK_GB, min_gpu_ram_gb=0.0 if cpu else _SAMPLE_GPU_RAM_GB),
        in_gb=_SAMPLE_IN_GB,
        out_gb=_SAMPLE_OUT_GB,
        max_usd_per_hour=cap,
        cuda=None if cpu else parse_image_cuda(settings.image),
    )
    try:
        offers = await provider.offers(Need(disk_gb=_SAMPLE_DISK_GB))
    except (ProviderError, Unclear) as error:
        return fail("market", f"no offers: {_safe(error, settings)}", "try again in a minute")
    found = market.judge(offers, wish, {offer.id: 0.0 for offer in offers})
    best = found.best
    if best is None:
        remedy = "raise NOXFVR_MAX_PRICE, or wait: jobs wait in the queue until something fits"
        return fail("market", found.explain(cap), remedy)
    fitting = sum(each.fits for each in found.ranked)
    cheapest = f"{best.offer.name} @ ${best.offer.usd_per_hour:.3f}/hr"
    return ok("market", f"{fitting} offers fit under ${cap:.3f}/hr, the best: {cheapest}")


def _judge_skew(skew_s: float) -> Finding:
    detail = f"this computer's clock differs by {abs(skew_s):.0f} s from the bucket's"
    remedy = "set the clock by the network: links are signed with the time"
    if abs(skew_s) > _LONGEST_SKEW_S:
        return fail("clock", detail, remedy)
    return warn("clock", detail, remedy) if abs(skew_s) > _SKEW_S else ok("clock", detail)


def _judge_lifecycle(has: bool | None) -> Finding:
    if has:
        return ok("bucket lifecycle", "a rule removes old versions or unfinished uploads")
    detail = "no rule removes old versions and unfinished uploads, which cost money"
    if has is None:
        detail = "this key may not read the bucket's lifecycle rules"
    remedy = "in the bucket's lifecycle settings keep only the last version of a file"
    return warn("bucket lifecycle", detail, remedy)


def _judge_cors(allows: bool | None) -> Finding:
    if allows:
        return ok("bucket CORS", "pages of some other sites may read results")
    detail = "this key may not read the bucket's CORS rules"
    if allows is not None:
        detail = (
            "web pages of other sites may not read results; links in a browser work all the same"
        )
    return warn("bucket CORS", detail, "allow GET in the bucket's CORS rules where that is wanted")


def _safe(error: Exception, settings: Settings) -> str:
    # shorter ones would blank out ordinary words
    return redact(str(error), [each for each in settings.secrets if len(each) >= 6])

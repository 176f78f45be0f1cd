"""All ways from the controller out of its process: which provider and storage are meant, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controller.loops.webhook import Post, post
from controller.probe import Prober, probe
from controller.providers.base import Provider
from controller.providers.local import LocalProvider
from controller.providers.vast import VastProvider
from controller.settings import Settings
from controller.storage.base import Storage
from controller.storage.folder import FolderStorage
from controller.storage.s3 import S3Storage


def build_storage(settings: Settings, *, clock: Callable[[], float] = time.time) -> Storage:
    """The storage that is meant; nothing is asked of it yet."""
    if settings.storage == "folder":
        return FolderStorage(settings.storage_dir)
    return S3Storage(
        bucket=settings.b2_bucket,
        key=settings.b2_key,
        secret=settings.b2_secret,
        endpoint=settings.b2_endpoint,
        region=settings.b2_region,
        work_dir=settings.work_dir,
        clock=clock,
    )


def build_provider(
    settings: Settings, *, deployment: str, clock: Callable[[], float] = time.time
) -> Provider:
    """The provider that is meant; nothing is asked of it yet."""
    if settings.provider == "local":
        return LocalProvider(
            deployment=deployment, logs_dir=settings.logs_dir, work_dir=settings.work_dir
        )
    return VastProvider(
        key=settings.vast_api_key, url=settings.vast_url, deployment=deployment, clock=clock
    )


class BuildStorage(Protocol):
    """As :func:`build_storage`."""

    def __call__(self, settings: Settings, *, clock: Callable[[], float]) -> Storage: ...


class BuildProvider(Protocol):
    """As :func:`build_provider`."""

    def __call__(
        self, settings: Settings, *, deployment: str, clock: Callable[[], float]
    ) -> Provider: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """All ways from the controller out of its process, so that others can take their place."""

    storage: BuildStorage = build_storage
    provider: BuildProvider = build_provider
    prober: Prober = probe
    post: Post = post

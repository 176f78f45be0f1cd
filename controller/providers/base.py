"""What a provider of machines has to do, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A machine to be had now."""

    id: str
    name: str
    """The GPU's name, or the CPU's."""
    usd_per_hour: float
    """All in: GPU and disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a new machine is started with."""

    machine: str
    label: str
    orders_url: str
    deadline_at: float
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that exists, as a complete listing shows it."""

    id: str
    label: str


class Provider(Protocol):
    """Rents machines. :class:`~controller.errors.Unclear` = nothing may be concluded."""

    name: str
    settle_s: float
    """How long after a lost create call its machine may first appear in a listing."""
    silence_s: float
    """How long a heartbeat may be missing before the attempt is given up."""
    boot_s: float
    """How long the first heartbeat may take."""

    async def offers(self) -> list[Offer]:
        """Machines to be had now, best first; empty when there are none."""

    async def create(self, offer: Offer, launch: Launch) -> str:
        """Rent exactly once, never retrying; the instance's id.

        :class:`~controller.errors.ProviderError` = certainly nothing was created.
        :class:`~controller.errors.Unclear` = it may exist: look for the label.
        """

    async def instances(self) -> list[Instance]:
        """Every instance of the account: complete, or :class:`~controller.errors.Unclear`."""

    async def destroy(self, instance_id: str) -> None:
        """End it for good; returns when the provider says that it is gone, or never was there.

        Idempotent. :class:`~controller.errors.Unclear` otherwise: call again.
        """

"""What a provider of machines has to do, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is asked of a machine when the market is searched.

    A provider may filter by it to keep an answer short; whoever uses the answer checks again.
    """

    disk_gb: float = 0.0
    """Prices are all in for a disk of this size."""
    max_usd_per_hour: float | None = None
    """None asks for dearer ones as well."""
    min_gpu_ram_gb: float = 0.0
    """Memory of one card."""
    min_duration_s: float = 0.0
    """How long the machine must be available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A machine to be had now. None where the provider does not say: then it is not known."""

    id: str
    name: str
    """The GPU's name, or the CPU's."""
    usd_per_hour: float
    """All in: GPU and disk."""
    machine_id: str = ""
    """The physical machine, the same over many offers; empty where there is only one."""
    gpus: int = 1
    gpu_ram_gb: float | None = None
    """Memory of one card, in GB of 10⁹ bytes."""
    compute_capability: float | None = None
    """``8.6``, ``12.0``: the instruction set of the card."""
    cuda: float | None = None
    """Newest CUDA that its driver runs."""
    tflops: float | None = None
    """Of one card, single precision, as the provider measured it."""
    cpu_cores: float | None = None
    """Cores that come with this offer, not those of the whole machine."""
    ram_gb: float | None = None
    disk_gb: float | None = None
    """The largest disk to be had."""
    down_mbps: float | None = None
    up_mbps: float | None = None
    usd_per_gb_down: float = 0.0
    """Traffic into the machine."""
    usd_per_gb_up: float = 0.0
    reliability: float | None = None
    """0 to 1."""
    duration_s: float | None = None
    """How long it is available at most."""
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a new machine is started with."""

    machine: str
    label: str
    orders_url: str
    deadline_at: float
    env: Mapping[str, str]
    script: str = ""
    """The first script of a rented machine; empty where the provider starts the runner itself."""
    image: str = ""
    disk_gb: float = 0.0


class InstanceStatus(StrEnum):
    """What a listing says of a machine, in this order when all goes well."""

    CREATED = "created"
    PULLING = "pulling"
    """The container image is being fetched or started."""
    RUNNING = "running"
    OFFLINE = "offline"
    """The host does not answer; it may come back."""
    ENDED = "ended"
    """Stopped, by whomever: it will not run again by itself, and may cost money."""
    IMAGE_FAILED = "image_failed"
    """The image does not exist or may not be fetched: every machine would fail alike."""
    HOST_FAILED = "host_failed"
    """This host cannot start the container; another one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that exists, as a complete listing shows it."""

    id: str
    label: str
    status: InstanceStatus = InstanceStatus.RUNNING
    detail: str = ""
    """The provider's own words about its state; for people."""
    usd_per_hour: float | None = None
    """All in, as it is billed."""


class Provider(Protocol):
    """Rents machines. :class:`~controller.errors.Unclear` = nothing may be concluded."""

    name: str
    rents: bool
    """Whether machines are other people's: they cost money, boot from an image, and are trusted
    with one job at most."""
    settle_s: float
    """How long after a lost create call its machine may first appear in a listing."""
    silence_s: float
    """How long a heartbeat may be missing before the attempt is given up."""
    boot_s: float
    """How long the first heartbeat may take, from when the machine runs."""

    async def offers(self, need: Need) -> list[Offer]:
        """Machines to be had now, cheapest first; empty when there are none."""

    async def create(self, offer: Offer, launch: Launch) -> str:
        """Rent exactly once, never retrying; the instance's id.

        :class:`~controller.errors.ProviderError` = certainly nothing was created; its subclasses
        :class:`~controller.errors.OfferGone`, :class:`~controller.errors.NoCredit` and
        :class:`~controller.errors.BadKey` say why. :class:`~controller.errors.Unclear` = it may
        exist: look for the label.
        """

    async def instances(self) -> list[Instance]:
        """Every instance of the account: complete, or :class:`~controller.errors.Unclear`."""

    async def destroy(self, instance_ids: Collection[str]) -> set[str]:
        """End them for good; the ids of which the provider says that they are gone.

        Idempotent: one that never was there counts as gone. :class:`~controller.errors.Unclear`
        where nothing is known of any: call again.
        """

    async def logs(self, instance_id: str, lines: int) -> list[str] | None:
        """The newest lines that the machine printed; None where there are none to be had now."""

    async def credit_usd(self) -> float | None:
        """Money that is left to be spent; None where nothing is paid."""

    async def close(self) -> None:
        """Drop connections."""

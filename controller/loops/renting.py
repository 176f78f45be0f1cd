"""How a machine is written down, launched and assigned: the steps of renting one."""

from __future__ import annotations

import logging

from ulid import ULID

from controller import bootstrap, market, policy
from controller.clock import latest_of
from controller.errors import ProviderError
from controller.images import capabilities, parse_image_cuda
from controller.labels import Label
from controller.loops.context import Context
from controller.providers.base import Launch, Need, Offer
from controller.records import Attempt, Job, Machine
from controller.states import JobState, MachineState
from controller.terms import time_limit_s

log = logging.getLogger(__name__)


#: Cards report a little less memory than their name says.
_MEMORY_SLACK = 0.92


class Rent:
    """Makes machines of offers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bundle: bootstrap.Bundle | None = None

    def new_machine(self, offer: Offer, job: Job) -> Machine:
        """A row for a machine that does not exist yet, with its reservation."""
        context = self._context
        now = context.clock()
        machine_id = str(ULID())
        expires_at = latest_of(context.clock) + context.quotes.lifetime_s(job)
        longest_s = context.quotes.longest_s(time_limit_s(job, context.settings))
        wish = context.quotes.wish(job)
        traffic_usd = market.traffic_usd(
            wish,
            usd_per_gb_down=offer.usd_per_gb_down,
            usd_per_gb_up=offer.usd_per_gb_up,
            with_image=True,
        )
        return Machine(
            id=machine_id,
            label=str(Label(context.store.deployment, machine_id, int(expires_at))),
            provider=context.provider.name,
            state=MachineState.RENTING,
            version=1,
            instance=None,
            name=offer.name,
            host=offer.machine_id,
            disk_gb=wish.need.disk_gb,
            gpu_ram_gb=offer.gpu_ram_gb,
            usd_per_hour=offer.usd_per_hour,
            usd_per_gb_down=offer.usd_per_gb_down,
            usd_per_gb_up=offer.usd_per_gb_up,
            traffic_usd=traffic_usd,
            reserved_usd=policy.reservation_usd(offer.usd_per_hour, traffic_usd, longest_s),
            created_at=now,
            expires_at=expires_at,
            booted_at=None,
            idle_since=None,
            retire_requested_at=None,
            retire_reason="",
            absent_since=None,
            absences=0,
            destroyed_at=None,
            gone_at=None,
            orders_sequence=0,
        )

    async def create(self, offer: Offer, machine: Machine) -> str:
        """One create call; errors as :meth:`Provider.create` has them."""
        context, settings = self._context, self._context.settings
        need = self._need(machine)
        script = await self._first_script(machine, need) if context.provider.rents else ""
        launch = Launch(
            machine=machine.id,
            label=machine.label,
            orders_url=context.mailbox.orders_url(machine),
            deadline_at=machine.expires_at,
            env={},
            script=script,
            image=settings.image,
            disk_gb=need.disk_gb,
        )
        self._need(machine)  # writing all that took a while
        return await context.provider.create(offer, launch)

    def _need(self, machine: Machine) -> Need:
        attempt = self._context.store.attempts.open_on(machine.id)
        job = self._context.store.jobs.get(attempt.job) if attempt else None
        if job is None or job.cancel_requested_at is not None:
            raise ProviderError("its job was given up before it was rented")
        return self._context.quotes.wish(job).need

    async def _first_script(self, machine: Machine, need: Need) -> str:
        context, settings = self._context, self._context.settings
        url, sha256 = ("", "") if settings.git_url else await self._stored_bundle(machine)
        cuda = parse_image_cuda(settings.image) if settings.runner_device == "cuda" else None
        lowest, highest = capabilities(cuda) if cuda else (None, None)
        plan = bootstrap.BootPlan(
            orders_url=context.mailbox.orders_url(machine),
            boot_url=context.mailbox.boot_url(machine),
            deadline_at=machine.expires_at,
            device=settings.runner_device,
            min_gpu_memory_bytes=int(need.min_gpu_ram_gb * _MEMORY_SLACK * 1e9),
            lowest_capability=lowest,
            highest_capability=highest,
            bundle_url=url,
            bundle_sha256=sha256,
            git_url=settings.git_url,
            git_ref=settings.git_ref,
            requirements=bootstrap.runner_requirements(),
        )
        second_url = await context.mailbox.write_second_script(
            machine, bootstrap.second_script(plan)
        )
        return bootstrap.first_script(
            deadline_at=machine.expires_at,
            api_url=settings.vast_url,
            boot_url=plan.boot_url,
            second_url=second_url,
        )

    async def _stored_bundle(self, machine: Machine) -> tuple[str, str]:
        """URL and hash of the runner, which is put into storage where it is not yet."""
        if self._bundle is None:
            self._bundle = bootstrap.build_bundle()
        url = await self._context.mailbox.write_bundle(
            machine, bootstrap.bundle_key(self._bundle.sha256), self._bundle.data
        )
        return url, self._bundle.sha256


def assign(
    context: Context, job: Job, machine: Machine, *, traffic_usd: float, add: bool = False
) -> tuple[Job, Attempt] | None:
    """Give a queued job to a machine, inside the caller's transaction; None if it was raced.

    ``add`` writes the machine down as well.
    """
    moved = context.store.jobs.move(
        job, JobState.RUNNING, event="assigned",
        data={"machine": machine.name, "number": job.attempts + 1},
        attempts=job.attempts + 1, waits_for=None, waits_detail="",
    )  # fmt: skip
    if moved is None:
        return None
    if add:
        context.store.machines.add(machine)
    deadline_at = min(
        machine.expires_at,
        latest_of(context.clock) + policy.BOOT_ALLOWANCE_S + time_limit_s(job, context.settings),
    )
    return moved, context.store.attempts.add(moved, machine.id, deadline_at, traffic_usd)

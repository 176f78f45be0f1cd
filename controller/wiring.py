"""Opens a deployment: a controller on its data directory, with or without the loops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from controller.assembly import build_context, build_controller, build_loops, build_supervisor
from controller.clock import SteadyClock
from controller.errors import AlreadyRunning
from controller.loops.webhook import Webhook
from controller.outside import Outside
from controller.recovery import recover
from controller.service import Controller
from controller.settings import Settings
from controller.store import Store
from controller.takeover import DeploymentName, acquire, find_lock, keep_loops

__all__ = ["Outside", "open_controller"]

_TELL_REST_S = 20.0


@asynccontextmanager
async def open_controller(
    settings: Settings,
    *,
    clock: Callable[[], float] | None = None,
    must_own: bool = False,
    only_look: bool = False,
    only_end: bool = False,
    keep_deployment: bool = False,
    outside: Outside | None = None,
) -> AsyncIterator[Controller]:
    """A controller while the context is open.

    The first process on a data directory runs the loops; a second one is a client that submits
    and follows, and takes over when the first one is gone. One that ``must_own`` the directory
    raises :class:`AlreadyRunning` instead. One that will ``only_look`` never runs loops; one that
    will ``only_end`` things runs all but the one that starts jobs.

    Whoever owns the directory restores a damaged database before it is opened, and takes another
    name in a copied directory unless it is to ``keep_deployment``. A database that is found
    damaged later ends what goes on in the context with :class:`DatabaseDamaged`, and one that its
    owner replaced while this process waited with :class:`DatabaseReplaced`.
    """
    clock = clock or SteadyClock()
    lock = find_lock(settings)
    owns = not only_look and acquire(lock)
    if must_own and not owns:
        raise AlreadyRunning(f"another process works on {settings.data_dir}")
    outside = outside or Outside()
    with contextlib.ExitStack() as unless_open:
        unless_open.callback(lock.release)
        name = DeploymentName(settings, clock, settles=owns, keeps=keep_deployment)
        if owns:
            recover(settings.database, clock=clock)
        context = build_context(settings, clock=clock, outside=outside, settle=name.settle)
        unless_open.callback(context.store.close)
        loops = build_loops(context, outside=outside)
        supervisor = build_supervisor(context, loops, place=not only_end)
        controller = build_controller(context, wake=supervisor.wake, prober=outside.prober)
        controller.reconciles = not only_look and acquire(lock)
        unless_open.pop_all()
    keeper = asyncio.create_task(
        keep_loops(lock, context, name, supervisor, controller), name="loops"
    )
    if only_look:
        keeper.cancel()
    _end_on_damage(context.store)
    try:
        yield controller
    except BaseException as error:
        if context.store.damage is None:
            raise
        # whatever it led to, that is what happened
        raise context.store.damage from error
    finally:
        keeper.cancel()
        async with contextlib.AsyncExitStack() as ends:
            ends.callback(lock.release)
            ends.callback(context.store.close)
            ends.push_async_callback(context.storage.close)
            ends.push_async_callback(context.provider.close)
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            await loops.watch.close()
            await loops.prune.close()
            if controller.reconciles and context.store.damage is None:
                await _tell_rest(loops.webhook)


def _end_on_damage(store: Store) -> None:
    """Cancel the task that this is called in, as soon as the database is found damaged."""
    host, loop = asyncio.current_task(), asyncio.get_running_loop()

    def end() -> None:
        if host is not None:
            loop.call_soon(host.cancel)

    store.on_damage(end)


async def _tell_rest(webhook: Webhook) -> None:
    """The last ends of this process; what is not accepted now is told by the next one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TELL_REST_S):
            await webhook.tick()

"""Puts the parts of one process together: what they share, the loops, and the front door."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.clock import wall_of
from controller.errors import DatabaseError
from controller.intake import Intake
from controller.loops.alarm import AlarmLoop
from controller.loops.backup import Backup
from controller.loops.context import Context
from controller.loops.place import Place
from controller.loops.prune import Prune
from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.tail import Tail
from controller.loops.watch import Watch
from controller.loops.webhook import Webhook
from controller.mailbox import Mailbox
from controller.outside import Outside
from controller.probe import Prober
from controller.quotes import Quotes
from controller.service import Controller
from controller.settings import Settings
from controller.store import Store
from controller.supervisor import Loop, Supervisor

_PRUNE_S = 60.0
_BACKUP_S = 60.0
_ALARM_S = 15.0


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of one process, for the supervisor and for tests that tick them by hand."""

    place: Place
    watch: Watch
    reap: Reap
    prune: Prune
    tail: Tail
    webhook: Webhook
    backup: Backup
    alarm: AlarmLoop


def build_context(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    outside: Outside | None = None,
    settle: Callable[[Store], None] = lambda _: None,
) -> Context:
    """Open the data directory; what is wrong with it is an error here.

    ``settle`` is called with the store before anything is made of what it holds.
    """
    outside = outside or Outside()
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        storage = outside.storage(settings, clock=wall_of(clock))
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    store = Store(settings.database, clock=clock)
    try:
        settle(store)
        provider = outside.provider(settings, deployment=store.deployment, clock=clock)
    except BaseException:
        store.close()
        raise
    return Context(
        store=store,
        storage=storage,
        mailbox=Mailbox(storage, segment_s=settings.segment_s, clock=clock),
        provider=provider,
        quotes=Quotes(store=store, provider=provider, settings=settings, clock=clock),
        settings=settings,
        clock=clock,
    )


def build_loops(context: Context, *, outside: Outside | None = None) -> Loops:
    outside = outside or Outside()
    reap_knows = _Knowledge()
    place = Place(context, may_rent=reap_knows)
    reap_knows.reap = reap = Reap(context, renting=place.renting)
    watch = Watch(context, Publisher(context, prober=outside.prober))
    return Loops(
        place=place,
        watch=watch,
        reap=reap,
        prune=Prune(context),
        tail=Tail(context, watch),
        webhook=Webhook(
            store=context.store,
            storage=context.storage,
            settings=context.settings,
            clock=context.clock,
            post=outside.post,
        ),
        backup=Backup(context),
        alarm=AlarmLoop(context),
    )


def build_supervisor(context: Context, loops: Loops, *, place: bool) -> Supervisor:
    poll_s = context.settings.poll_s
    duties: dict[str, tuple[Loop, float]] = {
        "reap": (loops.reap, poll_s),
        "watch": (loops.watch, poll_s),
        "prune": (loops.prune, _PRUNE_S),
        "tail": (loops.tail, poll_s),
        "webhook": (loops.webhook, poll_s),
        "alarm": (loops.alarm, _ALARM_S),
    }
    if place:
        duties["place"] = (loops.place, poll_s)
    if backup_s := context.settings.backup_s:
        duties["backup"] = (loops.backup, min(_BACKUP_S, backup_s))
    return Supervisor(duties, context.vitals)


def build_controller(context: Context, *, wake: Callable[[], None], prober: Prober) -> Controller:
    return Controller(
        store=context.store,
        storage=context.storage,
        settings=context.settings,
        quotes=context.quotes,
        provider=context.provider,
        intake=Intake(
            store=context.store,
            storage=context.storage,
            settings=context.settings,
            clock=context.clock,
            prober=prober,
        ),
        clock=context.clock,
        wake=wake,
        vitals=context.vitals,
    )


class _Knowledge:
    """Whether the newest listing was complete, for the loop that rents."""

    reap: Reap | None = None

    def __call__(self) -> bool:
        return self.reap is not None and self.reap.knows

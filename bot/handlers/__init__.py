"""What the bot answers: one router per feature, in the order in which they are asked."""

from __future__ import annotations

from aiogram import Router

from bot.handlers import (
    admin,
    alerts,
    batch,
    errors,
    health,
    holds,
    jobs,
    machines,
    people,
    plan,
    progress,
    queue,
    results,
    settings,
    spend,
    start,
    status,
    submit,
)


def make_routers() -> list[Router]:
    """Fresh routers, as each belongs to one dispatcher. ``submit`` is last: it takes all."""
    return [
        errors.make_router(),
        start.make_router(),
        settings.make_router(),
        status.make_router(),
        machines.make_router(),
        spend.make_router(),
        people.make_router(),
        queue.make_router(),
        health.make_router(),
        alerts.make_router(),
        admin.make_router(),
        admin.make_refusals(),
        batch.make_router(),
        progress.make_router(),
        plan.make_router(),
        holds.make_router(),
        results.make_router(),
        jobs.make_router(),
        submit.make_router(),
    ]

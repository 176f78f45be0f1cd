"""What the bot answers: one router per feature, in the order in which they are asked."""

from __future__ import annotations

from aiogram import Router

from bot.handlers import admin, errors, jobs, start, submit


def make_routers() -> list[Router]:
    """Fresh routers, as each belongs to one dispatcher. ``submit`` is last: it takes all."""
    return [
        errors.make_router(),
        start.make_router(),
        admin.make_router(),
        jobs.make_router(),
        submit.make_router(),
    ]

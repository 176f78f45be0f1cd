"""Who may do what: the deployment's settings first, then who was let in in the chat."""

from __future__ import annotations

from bot.settings import BotSettings
from controller.records import Role
from controller.service import Controller


def find_role(controller: Controller, settings: BotSettings, user: int) -> Role | None:
    """None for strangers. Who is shut out in the chat stays out, but for the settings' admins."""
    if settings.is_admin(user):
        return Role.ADMIN
    role = controller.people.role(user)
    if role is None and settings.is_user(user):
        return Role.USER
    return role


def find_admins(controller: Controller, settings: BotSettings) -> list[int]:
    """Everybody who is one now, by number."""
    members = {each.user for each in controller.people.members() if each.role is Role.ADMIN}
    return sorted(members | settings.admins)

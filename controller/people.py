"""A part of the front door: who was let in in the chat, by whom, and how far.

Whom the deployment's own settings name has no row here and needs none.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from controller.errors import Forbidden
from controller.records import Actor, Member, Role
from controller.store import Store

INVITE_S = 7 * 86400.0
"""How long an invitation may be used."""
INVITE_PREFIX = "inv_"
_NAME_LENGTH = 64


class People:
    """Rows of members and invitations. ``make_code`` gives 128 bits and more as a URL's text."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], float],
        make_code: Callable[[], str] = lambda: secrets.token_urlsafe(24),
    ) -> None:
        self._store = store
        self._clock = clock
        self._make_code = make_code

    def role(self, user: int) -> Role | None:
        """None for somebody who has no row: a stranger, or whom only the settings name."""
        member = self._store.members.get(user)
        return member.role if member else None

    def members(self) -> list[Member]:
        """Administrators first, those who are shut out last."""
        return self._store.members.all()

    def invite(self, role: Role, *, by: Actor) -> str:
        """A code that lets one person in, once, for a week. Only its hash is kept."""
        require_admin(by)
        if role is Role.BLOCKED:
            raise ValueError("nobody is invited to be shut out")
        code = INVITE_PREFIX + self._make_code()
        expires_at = self._clock() + INVITE_S
        self._store.invites.add(_hash(code), role, by=by.user, expires_at=expires_at)
        return code

    def accept(self, code: str, user: int, name: str) -> Role | None:
        """What somebody may do from now on; None where the code does not hold for them.

        The same person may follow the same link again; a link that would give nothing, or take a
        right away, stays unused. Who is shut out stays so.
        """
        with self._store.transaction():
            present = self.role(user)
            if present in (Role.BLOCKED, Role.ADMIN):
                return None if present is Role.BLOCKED else present
            if present and self._store.invites.user_of(_hash(code)) == user:
                return present
            if present and self._store.invites.role_of(_hash(code)) is present:
                return present
            if not code.startswith(INVITE_PREFIX):
                return None
            used = self._store.invites.use(_hash(code), user)
            if used is None:
                return None
            role, invited_by = used
            self._store.members.put(user, role, name=name[:_NAME_LENGTH], invited_by=invited_by)
            self._keep_day_budget(user)
        return role

    def invited_by(self, user: int) -> int | None:
        """Who made the link by which somebody came."""
        member = self._store.members.get(user)
        return member.invited_by if member else None

    def set_role(self, user: int, role: Role, *, by: Actor) -> None:
        """Let somebody in, shut them out, or change what they may do.

        Links that they made as an administrator go with that right.
        """
        require_admin(by)
        with self._store.transaction():
            self._store.members.put(user, role)
            self._keep_day_budget(user)
            if role is not Role.ADMIN:
                self._store.invites.revoke(of=user)

    def day_budget(self, user: int) -> float | None:
        """What somebody's jobs may cost a day without asking; None sets no limit."""
        member = self._store.members.get(user)
        if member:
            return member.day_budget
        switch = self._store.switches.get(_budget_name(user))
        return float(switch.value) if switch else None

    def set_day_budget(self, user: int, usd: float | None, *, by: Actor) -> None:
        """Also of somebody whom only the settings name: that makes no member of them."""
        require_admin(by)
        if usd is not None and not 0 <= usd < float("inf"):
            raise ValueError("a budget is an amount of dollars")
        with self._store.transaction():
            if self._store.members.get(user):
                self._store.members.set_day_budget(user, usd)
            elif usd is None:
                self._store.switches.drop(_budget_name(user))
            else:
                self._store.switches.set(_budget_name(user), repr(float(usd)), by=by.user)

    def remove(self, user: int, *, by: Actor) -> None:
        """Forget somebody; who is not named by the settings is a stranger again.

        What their jobs may cost a day goes on to hold: the settings may let them in all the same.
        """
        require_admin(by)
        with self._store.transaction():
            if (usd := self.day_budget(user)) is not None:
                self._store.switches.set(_budget_name(user), repr(usd), by=by.user)
            self._store.members.remove(user)
            self._store.invites.revoke(of=user)

    def revoke_invites(self, *, by: Actor) -> int:
        """Make all links that nobody has followed useless; how many there were."""
        require_admin(by)
        return self._store.invites.revoke()

    def _keep_day_budget(self, user: int) -> None:
        """Carry over what was set before somebody had a row."""
        if switch := self._store.switches.get(_budget_name(user)):
            self._store.members.set_day_budget(user, float(switch.value))
            self._store.switches.drop(_budget_name(user))


def require_admin(by: Actor) -> None:
    """:class:`Forbidden` for everybody else."""
    if not by.admin:
        raise Forbidden


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _budget_name(user: int) -> str:
    return f"day_budget:{user}"

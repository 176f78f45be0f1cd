"""What the bot needs to know, from ``TELEGRAM_*``: validated once, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiogram.utils.token import TokenValidationError, validate_token

from controller.errors import SettingsError
from controller.settings import Reader, show, split_url

OFFICIAL_API = "https://api.telegram.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """Who the bot is, which server it talks to, and whom it serves (numeric ids)."""

    token: str = field(repr=False)
    api_url: str = OFFICIAL_API
    local_files: bool = False
    """The server runs with ``--local``: files are taken by path, without the 20 MB limit."""
    admins: frozenset[int] = frozenset()
    users: frozenset[int] = frozenset()

    def is_admin(self, user: int) -> bool:
        return user in self.admins

    def is_user(self, user: int) -> bool:
        """Admins are users too; nobody else than those listed is."""
        return user in self.users or user in self.admins

    @property
    def download_limit(self) -> int:
        """Bytes a bot may fetch through this server (Bot API: getFile)."""
        return 2000 * 1024**2 if self.local_files else 20 * 1024**2

    @property
    def upload_limit(self) -> int:
        """Bytes a bot may send through this server (Bot API: 50 MB; 2000 MB with ``--local``)."""
        return 2000 * 1000**2 if self.local_files else 50 * 1000**2


def load_bot_settings(env: Mapping[str, str]) -> BotSettings:
    """Validate; :class:`SettingsError` has every mistake at once, and never the token."""
    reader = Reader(env)
    settings = BotSettings(
        token=_read_token(reader),
        api_url=_read_url(reader),
        local_files=reader.flag("TELEGRAM_LOCAL_FILES"),
        admins=reader.ids("TELEGRAM_ADMINS"),
        users=reader.ids("TELEGRAM_USERS"),
    )
    if not env.get("TELEGRAM_ADMINS") and not env.get("TELEGRAM_USERS"):
        reader.problems.append(
            "TELEGRAM_ADMINS or TELEGRAM_USERS must name at least one numeric user id:"
            " nobody else is served (@userinfobot tells yours)"
        )
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _read_token(reader: Reader) -> str:
    token = reader.env.get("TELEGRAM_BOT_TOKEN", "").strip()
    if not token:
        reader.problems.append("TELEGRAM_BOT_TOKEN is missing: get one from @BotFather")
        return ""
    try:
        validate_token(token)
    except TokenValidationError:
        reader.problems.append(
            "TELEGRAM_BOT_TOKEN does not look like a token: digits, a colon, letters"
        )
    return token


def _read_url(reader: Reader) -> str:
    url = reader.env.get("TELEGRAM_API_URL", OFFICIAL_API).rstrip("/")
    parts = split_url(url)
    if parts is None or parts.scheme not in ("http", "https"):
        reader.problems.append(
            f"TELEGRAM_API_URL must be an http or https address, not {show(url)}"
        )
    return url

"""Who opened a page inside Telegram: what the client says, and whether it is true.

Source: core.telegram.org/bots/webapps, "Validating data received via the Mini App".
"""

from __future__ import annotations

from aiogram.utils.web_app import safe_parse_webapp_init_data

from controller.errors import NotYourUpload

#: A page may stay open for long, and says the same all the time.
LONGEST_S = 24 * 3600.0
_SKEW_S = 300.0


def require_owner(init_data: str, *, token: str, owner: int, now: float) -> None:
    """:class:`NotYourUpload` unless the owner opened it, by Telegram's word, not long ago."""
    try:
        data = safe_parse_webapp_init_data(token, init_data)
    except (ValueError, TypeError):  # not signed with our token, or not of the form at all
        raise NotYourUpload from None
    age_s = now - data.auth_date.timestamp()
    is_fresh = -_SKEW_S <= age_s <= LONGEST_S
    if not is_fresh or data.user is None or data.user.id != owner:
        raise NotYourUpload

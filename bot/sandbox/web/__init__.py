"""The sandbox as a web chat: a page on 127.0.0.1 where one talks to the bot in a browser."""

from __future__ import annotations

from bot.sandbox.web.routes import page_routes

__all__ = ["page_routes"]

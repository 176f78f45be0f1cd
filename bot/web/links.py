"""Short links: ``/d/<code>`` leads to what a job made, or says that it does not any more."""

from __future__ import annotations

import mimetypes
from urllib.parse import quote

from aiohttp import web

from bot.texts import Texts
from bot.web.pages import draw_notice
from controller.links import Target
from controller.service import Controller


def make_routes(controller: Controller, texts: Texts) -> list[web.RouteDef]:
    async def follow(request: web.Request) -> web.StreamResponse:
        code = request.match_info["code"]
        target = await controller.links.resolve(code)
        if target is None:
            status = 410 if controller.links.was_good(code) else 404
            page = draw_notice(texts, "web-link-over", prefix="../u/")
            return web.Response(status=status, text=page, content_type="text/html")
        if target.path is None:
            return web.Response(status=302, headers={"Location": target.url})
        return _send_file(target)

    return [web.get("/d/{code:[A-Za-z0-9_-]{1,100}}", follow)]


def _send_file(target: Target) -> web.StreamResponse:
    """Ranges and conditions are aiohttp's."""
    assert target.path is not None  # noqa: S101 - the caller looked
    kind = mimetypes.guess_type(target.name)[0] or "application/octet-stream"
    disposition = f"attachment; filename*=UTF-8''{quote(target.name, safe='')}"
    headers = {"Content-Type": kind, "Content-Disposition": disposition}
    return web.FileResponse(target.path, headers=headers, chunk_size=1 << 18)

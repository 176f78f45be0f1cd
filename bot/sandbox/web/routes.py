"""Serves the page and its files: nothing from elsewhere, nothing that runs foreign text."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from bot.sandbox.web.scene import Scene

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    # Mini Apps are pages of others, so they get a frame of their own and nothing else.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' blob:; connect-src 'self'; "
        "frame-src https: http://127.0.0.1:*; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def page_routes(scene: Scene) -> list[web.RouteDef]:
    """The page at ``/``, its files below ``/web/``, and what they ask for."""
    return [
        web.get("/", _serve_page),
        web.get("/web/{name}", _serve_part),
        *scene.routes(),
    ]


async def _serve_page(request: web.Request) -> web.StreamResponse:
    return _serve("index.html")


async def _serve_part(request: web.Request) -> web.StreamResponse:
    return _serve(request.match_info["name"])


def _serve(name: str) -> web.FileResponse:
    # The names are those of the folder, so no path leads out of it.
    if name not in {path.name for path in STATIC.iterdir()}:
        raise web.HTTPNotFound
    path = STATIC / name
    kind = TYPES.get(path.suffix, "application/octet-stream")
    return web.FileResponse(path, headers={"Content-Type": f"{kind}; charset=utf-8", **HEADERS})

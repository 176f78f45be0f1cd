"""What every answer of the pages has in common: headers, and errors in plain words."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.errors import ControllerError
from controller.settings import Settings

log = logging.getLogger(__name__)

#: Where Telegram shows Mini Apps in a frame; its own programs show them without one.
_FRAMES = ("https://web.telegram.org", "https://*.telegram.org")
_LOCAL_FRAMES = ("http://127.0.0.1:*", "http://localhost:*")


def make_guard(settings: Settings) -> Middleware:
    """A middleware for all routes."""
    headers = {
        "Content-Security-Policy": make_policy(settings),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
    }

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(headers)
            raise
        except ControllerError as error:
            log.warning("A page is not to be had now: %s", type(error).__name__)
            response = web.Response(status=503, text="503\n")
        except ConnectionError:
            raise  # nobody is there to read an answer
        except Exception:
            log.exception("A page failed")
            response = web.Response(status=500, text="500\n")
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    return guard


def make_policy(settings: Settings) -> str:
    """Content-Security-Policy: nothing but our own files, and parts to the bucket."""
    endpoint = urlsplit(settings.b2_endpoint)
    is_bucket = settings.storage == "s3" and endpoint.netloc
    connect = ["'self'", *([f"{endpoint.scheme}://{endpoint.netloc}"] if is_bucket else [])]
    is_local = urlsplit(settings.public_url).scheme == "http"
    frames = [*_FRAMES, *(_LOCAL_FRAMES if is_local else ())]
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src {' '.join(connect)}",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {' '.join(frames)}",
        ]
    )

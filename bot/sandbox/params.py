"""Parameters of one call, from query, urlencoded, multipart or JSON body, given out typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from bot.sandbox.errors import ApiError, bad_request

CHUNK_BYTES = 1 << 18
ATTACH = "attach://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with the call, spooled to ``path``."""

    path: Path
    size: int
    file_name: str


class Params:
    """Values as they came; each reader says what it makes of them."""

    def __init__(self, values: dict[str, Any], uploads: dict[str, Upload]) -> None:
        self.values = values
        self.uploads = uploads

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return None if value is None else str(value)

    def integer(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            return int(value)
        except (TypeError, ValueError):
            raise bad_request(f"parameter {name} must be an integer") from None

    def boolean(self, name: str) -> bool:
        return str(self.values.get(name, "")).lower() in {"true", "1", "yes", "t", "y"}

    def mapping(self, name: str) -> dict[str, Any] | None:
        value = self._nested(name)
        if value is not None and not isinstance(value, dict):
            raise bad_request(f"object expected as {name.replace('_', ' ')}")
        return value

    def array(self, name: str) -> list[Any] | None:
        value = self._nested(name)
        if value is not None and not isinstance(value, list):
            raise bad_request(f"expected an Array of {name.replace('_', ' ')}")
        return value

    def chat_id(self) -> int | None:
        """The numeric chat id; usernames address public groups only, and there are none here."""
        value = self.values.get("chat_id")
        try:
            return None if value is None else int(value)
        except (TypeError, ValueError):
            return None

    def upload(self, reference: str) -> Upload | None:
        """The file behind ``attach://name`` or behind a part of that name."""
        return self.uploads.get(reference.removeprefix(ATTACH))

    def discard_uploads(self) -> None:
        """Remove spooled files that no method took."""
        for upload in self.uploads.values():
            upload.path.unlink(missing_ok=True)

    def _nested(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from None


async def read_params(request: web.Request, spool: Callable[[], Path], max_bytes: float) -> Params:
    """Read the whole call; files go to paths that ``spool`` makes.

    Raises:
        ApiError: 413 if the files together exceed ``max_bytes``, 400 for a body that is not
            what it says.
    """
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "multipart/form-data":
        return await _read_multipart(request, values, spool, max_bytes)
    if request.content_type == "application/json":
        values.update(await _read_json(request))
    elif request.can_read_body:
        values.update({key: str(value) for key, value in (await request.post()).items()})
    return Params(values, {})


async def _read_json(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        body = await request.json()
    except ValueError:
        raise bad_request("can't parse JSON object") from None
    if not isinstance(body, dict):
        raise bad_request("object expected")
    return body


async def _read_multipart(
    request: web.Request, values: dict[str, Any], spool: Callable[[], Path], max_bytes: float
) -> Params:
    params = Params(values, {})
    total = 0
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise bad_request("can't parse multipart body")
            if part.filename is None:
                values[part.name] = await part.text()
                continue
            upload = await _spool(part, spool(), max_bytes - total)
            total += upload.size
            params.uploads[part.name] = upload
    except ValueError:
        params.discard_uploads()
        raise bad_request("can't parse multipart body") from None
    except BaseException:
        params.discard_uploads()
        raise
    if total > max_bytes:
        params.discard_uploads()
        raise ApiError(413, "Request Entity Too Large")
    return params


async def _spool(part: BodyPartReader, path: Path, room_bytes: float) -> Upload:
    # Everything is read even past the limit: a client that is still sending would not see the
    # answer.
    size = 0
    with _Sink(path) as sink:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            size += len(chunk)
            if size <= room_bytes:
                sink.write(chunk)
    return Upload(path=path, size=size, file_name=part.filename or "")


class _Sink:
    """A file that is gone again where it was not written to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.write = self._file.write

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

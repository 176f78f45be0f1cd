"""Answers of a bucket, bent and broken, into the storage that is built on it.

Whatever comes, a call returns what it promises or raises a :class:`StorageError`; and only an
answer that says so means "there is no such object": a refusal or an outage never does.
"""

import asyncio
import math
import re
from collections.abc import Iterable
from pathlib import Path

from controller.errors import NotStored, StorageError
from controller.storage.base import Entry
from controller.storage.s3 import S3Storage
from tests.fuzz.bending import spoil
from tests.fuzz.tally import Case, Kind, Tally
from tests.fuzz.wire import Asked, Said, choose_manner, choose_status, listening

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_DATE = "2027-01-15T08:00:00.000Z"
_HTTP_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
_KEYS = [f"jobs/{n}/1/status" for n in range(3)]
_DATA = b'{"version": 1}'
_ABSENT = (b"NoSuchKey", b"NotFound", b"NoSuchUpload", b"NoSuchVersion", b"404")
_BAD_PARTS = (b"EntityTooSmall", b"InvalidPart")
_VALUES = ("", "0", "-1", "1e9", "9" * 40, "nan", "true", "<x/>", "&#0;", "&bogus;",
           "2027-99-99", "é" * 200, "../..", "x" * 5000, "Infinity", "00:00",
           "0001-01-01T00:00:00Z")  # fmt: skip
_HEADERS = ("", "0", "-1", "yesterday", "9" * 30, "\x7f", '"', "Fri, 99 Foo 0000 99:99:99 GMT")
#: Manners in which other bytes than those of the body go out, in a way that nobody can notice.
_OTHER_BYTES = ("short", "noise")
_CODES = ("NoSuchKey", "NoSuchUpload", "AccessDenied", "InternalError", "SlowDown", "InvalidPart",
          "SignatureDoesNotMatch", "NoSuchBucket", "", "404", "Ё")  # fmt: skip


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    asyncio.run(_run(tally, numbers, folder))


async def _run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    async with listening() as wire:
        storage = S3Storage(
            bucket="videos", key="004key", secret="K004secret", endpoint=wire.url,
            region="us-west-004", work_dir=folder / "work", attempts=1,
        )  # fmt: skip
        for number in numbers:
            with tally.case(number) as case:
                await _try(case, wire, storage)
                left = [path for path in folder.rglob("*") if path.is_file()]
                assert not left, f"left behind: {left}"
        await storage.close()


async def _try(case: Case, wire, storage: S3Storage) -> None:
    asked: list[Asked] = []
    said: list[Said] = []
    broken_at = case.rng.choice((0, 0, 0, 1, 2))

    def answer(request: Asked) -> Said:
        good = right_answer(request)
        asked.append(request)
        is_broken = len(said) == broken_at
        said.append(_break(case, good) if is_broken else good)
        return said[-1]

    wire.answer = answer
    deed = case.rng.choice(_DEEDS)
    case.told = f"{deed.__name__.strip('_')}:{case.told}"
    try:
        found = await deed(storage)
    except NotStored as error:
        assert any(_says_absent(each) for each in said), f"nobody said so: {error}"
        case.refuse("NotStored")
    except StorageError as error:
        assert "K004secret" not in str(error) and wire.url not in str(error)
        case.refuse("StorageError")
    else:
        if deed in _CHANGES:
            assert not _says_failed(asked[-1], said[-1]), "that went wrong, and was taken for well"
        if deed is _read and said[-1].manner not in _OTHER_BYTES:
            assert found == said[-1].body, f"{found!r} was read"
        case.accept()


def _says_failed(asked: Asked, said: Said) -> bool:
    """Whether a bucket that says so has not done what it was asked for. Of a copy and of parts
    that are put together it says so with a good status."""
    is_late = not asked.body if asked.method == "PUT" else asked.method == "POST"
    return said.status >= 300 or (is_late and b"<Error>" in said.body)


def _says_absent(said: Said) -> bool:
    return said.status == 404 or any(each in said.body for each in (*_ABSENT, *_BAD_PARTS))


def _break(case: Case, good: Said) -> Said:
    rng = case.rng
    status, body, headers, manner = good.status, good.body, good.headers, "plain"
    match rng.randrange(6):
        case 0 | 1 if body.startswith(_HEAD):
            body = _bend_xml(body, rng)
        case 2:
            body = spoil(body, rng)
        case 3:
            status = choose_status(rng)
            body = _error(rng.choice(_CODES))
        case 4 if headers:
            at = rng.randrange(len(headers))
            odd = ((headers[at][0], rng.choice(_HEADERS)),)
            headers = headers[:at] + rng.choice(((), odd)) + headers[at + 1 :]
        case _:
            status = choose_status(rng)
            manner = choose_manner(rng)
            if manner in ("silent", "endless"):  # minutes are waited for, and only bytes counted
                manner = "drop"
    case.told += f" {status} {manner} {body[:120]!r} {headers};"
    return Said(status=status, body=body, headers=headers, kind=good.kind, manner=manner)


def _bend_xml(body: bytes, rng) -> bytes:
    """Elements lost, doubled, renamed, or with another text."""
    text = body.decode()
    for _ in range(rng.choice((1, 1, 2, 4))):
        found = list(re.finditer(r"<(\w+)>([^<]*)</\1>|<(\w+)>.*?</\3>", text, re.S))
        if not found:
            break
        match = rng.choice(found)
        name = match[1] or match[3]
        odd = rng.choice((
            "", match[0] * 2, f"<{name}/>", f"<{name}>{rng.choice(_VALUES)}</{name}>",
            f"<{name}>{rng.choice(_VALUES)}</{name}>", f"<Other>{match[2]}</Other>",
            f"<{name}><Key>x</Key></{name}>",
        ))  # fmt: skip
        text = text[: match.start()] + odd + text[match.end() :]
    return text.encode()


# --- a bucket that answers well --------------------------------------------------------------


def right_answer(asked: Asked) -> Said:
    """What a bucket says that has what is asked for."""
    has = asked.query.__contains__
    if has("uploads") and asked.method == "POST":
        return _xml("InitiateMultipartUploadResult", "<UploadId>u1</UploadId>")
    if has("uploads"):
        upload = (
            f"<Upload><Key>out</Key><UploadId>u1</UploadId><Initiated>{_DATE}</Initiated></Upload>"
        )
        return _xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{upload}")
    if has("uploadId") and asked.method == "GET":
        part = f"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>14</Size>" \
               f"<LastModified>{_DATE}</LastModified></Part>"  # fmt: skip
        return _xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{part}")
    if has("uploadId") and asked.method == "POST":
        return _xml("CompleteMultipartUploadResult", "<Key>out</Key><ETag>e-1</ETag>")
    if has("versions"):
        rows = "".join(
            f"<Version><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{_DATE}</LastModified><ETag>e</ETag><Size>14</Size></Version>"
            for key in _KEYS
        )
        return _xml("ListVersionsResult", f"<IsTruncated>false</IsTruncated>{rows}")
    if has("delete"):
        return _xml("DeleteResult", "")
    if has("lifecycle"):
        rule = "<Rule><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1" \
               "</NoncurrentDays></NoncurrentVersionExpiration></Rule>"  # fmt: skip
        return _xml("LifecycleConfiguration", rule)
    if has("cors"):
        rule = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
        return _xml("CORSConfiguration", f"<CORSRule>{rule}</CORSRule>")
    if has("list-type"):
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{_DATE}</LastModified><ETag>e</ETag>"
            f"<Size>14</Size></Contents>" for key in _KEYS
        )  # fmt: skip
        return _xml(
            "ListBucketResult", f"<IsTruncated>false</IsTruncated><KeyCount>3</KeyCount>{rows}"
        )
    if asked.method in ("GET", "HEAD"):
        return Said(body=_DATA, kind="application/octet-stream", headers=_OBJECT)
    if asked.method == "PUT" and not asked.body:
        return _xml("CopyObjectResult", f"<ETag>e</ETag><LastModified>{_DATE}</LastModified>")
    return Said(body=b"", status=204 if asked.method == "DELETE" else 200, headers=_OBJECT[:1])


_OBJECT = (("ETag", '"e"'), ("Last-Modified", _HTTP_DATE), ("Accept-Ranges", "bytes"))


def _xml(name: str, inside: str) -> Said:
    body = _HEAD + f"<{name}>{inside}</{name}>".encode()
    return Said(body=body, kind="application/xml", headers=(("Date", _HTTP_DATE),))


def _error(code: str) -> bytes:
    return _HEAD + f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


# --- what is asked of it ---------------------------------------------------------------------


def _check(entry: Entry) -> None:
    assert isinstance(entry.key, str) and isinstance(entry.etag, str), entry
    assert type(entry.bytes) is int and entry.bytes >= 0, entry
    assert math.isfinite(entry.modified_at), entry


async def _entries(storage) -> None:
    for entry in await storage.entries("jobs/"):
        _check(entry)


async def _stat(storage) -> None:
    _check(await storage.stat(_KEYS[0]))


async def _read(storage) -> bytes:
    data = await storage.read(_KEYS[0], limit=100)
    assert isinstance(data, bytes) and len(data) <= 100
    return data


async def _write(storage) -> None:
    await storage.write("a", b"x")


async def _copy(storage) -> None:
    await storage.copy(_KEYS[0], "b")


async def _delete(storage) -> None:
    await storage.delete(_KEYS[1])


async def _abort(storage) -> None:
    assert await storage.abort_uploads("out", 0) >= 0


async def _sha256(storage) -> None:
    digest = await storage.sha256(_KEYS[0])
    assert digest is None or len(digest) == 64


async def _media_source(storage) -> None:
    assert (await storage.media_source(_KEYS[0])).startswith("http")


async def _open_upload(storage) -> None:
    assert len(await storage.open_upload("out", 2e9)) > 0


async def _finish_upload(storage) -> None:
    await storage.finish_upload("out", 14)


async def _parts_there(storage) -> None:
    for number, size in (await storage.parts_there("out", "u1")).items():
        assert type(number) is int and type(size) is int


async def _local_file(storage) -> None:
    async with storage.local_file(_KEYS[0]) as path:
        assert path.is_file()


async def _skew(storage) -> None:
    assert math.isfinite(await storage.clock_skew_s())


async def _rules(storage) -> None:
    assert await storage.has_lifecycle() in (True, False, None)
    assert await storage.cors_allows_download() in (True, False, None)
    assert await storage.cors_allows_upload("https://a.example") in (True, False, None)


async def _put_part(storage) -> None:
    async def stream():
        yield b"x" * 14

    await storage.write_part("out", "u1", 1, stream(), 14)


_DEEDS = (_entries, _entries, _stat, _stat, _read, _read, _write, _copy, _delete, _abort, _sha256,
          _media_source, _open_upload, _finish_upload, _finish_upload, _parts_there, _local_file,
          _skew, _rules, _put_part)  # fmt: skip
#: What has to be done when it returns, as its last call tells.
_CHANGES = (_write, _copy, _open_upload, _finish_upload, _put_part)

KINDS = (Kind(name="storage", count=500, quick=25, run=run, must_accept=0.1, must_refuse=0.2),)

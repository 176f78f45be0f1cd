"""Backblaze B2 for tests: moto's S3 server behind a gate that refuses what B2 refuses.

``python -m tests.standins.b2`` runs one in a process of its own: its URL is the first line of what
it prints, the settings for it are the others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import secrets
import signal
import time
from collections import Counter
from email.utils import formatdate

import aiohttp
import boto3
from aiohttp import web
from botocore.config import Config
from moto.server import ThreadedMotoServer
from yarl import URL

from tests.standins.b2_manners import (
    Refused,
    check_digest,
    check_headers,
    check_signature,
    operation_of,
)

_HOP = {
    "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect", "date",
    "server",
}  # fmt: skip
_ID = re.compile(r"<UploadId>(.*?)</UploadId>")
_FREE = {"HeadBucket"}


class B2Standin:
    """A service with one bucket that keeps versions, and one key. An async context manager.

    Switches: ``cap`` (403 on every call on data), ``slow_down`` (503 for so many), ``outage``
    (connections drop), ``lost_answers`` (so many are carried out, and then the connection drops),
    ``half_answers`` (so many objects break off in the middle),
    ``denied`` (operations the key may not do), ``clock``, ``pages`` (origins whose pages may put
    and get: the bucket's CORS rule as it works, beside what is configured).
    """

    def __init__(self, *, bucket=None, region="us-west-004", port=0, clock=time.time):
        self.bucket = bucket or f"videos-{secrets.token_hex(4)}"
        self.region = region
        self.key = f"004{secrets.token_hex(11)}"
        self.secret = f"K004{secrets.token_urlsafe(20)}"
        self.url = ""
        self.clock = clock
        self.cap = False
        self.outage = False
        self.slow_down = 0
        self.half_answers = 0
        self.lost_answers = Counter()
        self.denied = set()
        self.pages = set()
        self.requests = Counter()
        self.refusals = Counter()
        self.seen_headers = set()
        self._port = port
        self._opened_at = {}

    async def __aenter__(self):
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        self._inner = "http://{}:{}".format(*self._moto.get_host_and_port())
        self.admin = boto3.client(
            "s3", endpoint_url=self._inner, region_name="us-east-1",
            aws_access_key_id="inside", aws_secret_access_key="inside",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )  # fmt: skip
        self.admin.create_bucket(Bucket=self.bucket)
        self.admin.put_bucket_versioning(
            Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        self._session = aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()
        await self._session.close()
        self._empty()
        self.admin.close()
        await asyncio.to_thread(self._moto.stop)
        self._moto._server.server_close()

    @property
    def settings(self):
        """What a controller is told of it, by the names of its settings."""
        return {
            "B2_BUCKET": self.bucket,
            "B2_KEY": self.key,
            "B2_SECRET": self.secret,
            "B2_ENDPOINT": self.url,
            "B2_REGION": self.region,
        }

    # --- behind the gate: for tests to set up and to look ------------------------------------

    def put(self, key, data):
        self.admin.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key):
        return self.admin.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix=""):
        """Of the objects that can be seen."""
        return [each["Key"] for each in self._listed("list_objects_v2", ["Contents"], prefix)]

    def versions(self, prefix=""):
        """Key and id of every version and every marker that hides one."""
        found = self._listed("list_object_versions", ["Versions", "DeleteMarkers"], prefix)
        return [(each["Key"], each["VersionId"]) for each in found]

    def open_uploads(self):
        """Keys of the uploads that were neither finished nor dropped."""
        found = self.admin.list_multipart_uploads(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Uploads", [])]

    def configure(self, *, cors=None, lifecycle=None):
        """Rules of the bucket, as S3 writes them."""
        if cors:
            self.admin.put_bucket_cors(Bucket=self.bucket, CORSConfiguration={"CORSRules": cors})
        if lifecycle:
            self.admin.put_bucket_lifecycle_configuration(
                Bucket=self.bucket, LifecycleConfiguration={"Rules": lifecycle}
            )

    def _listed(self, operation, names, prefix):
        pages = self.admin.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=prefix)
        return [each for page in pages for name in names for each in page.get(name, [])]

    def _empty(self):
        """moto keeps all objects in the memory of this process."""
        for key, version in self.versions():
            self.admin.delete_object(Bucket=self.bucket, Key=key, VersionId=version)
        for upload in self.admin.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            self.admin.abort_multipart_upload(
                Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        self.admin.delete_bucket(Bucket=self.bucket)

    # --- the gate ----------------------------------------------------------------------------

    async def _answer(self, request):
        self.seen_headers |= {name.lower() for name in request.headers}
        if self.outage:
            return self._drop(request)
        if request.method == "OPTIONS":
            return self._preflight(request)
        try:
            operation = self._admit(request)
            body = await self._checked_body(operation, request)
        except Refused as error:
            self.refusals[error.code] += 1
            content = b"" if request.method == "HEAD" else error.body
            return web.Response(
                status=error.status, body=content, content_type="application/xml",
                headers={"Date": self._date()},
            )  # fmt: skip
        try:
            return await self._forward(operation, request, body)
        except (aiohttp.ClientError, ConnectionError):  # the other side broke off
            return self._drop(request)

    def _admit(self, request):
        operation = operation_of(request.method, request.raw_path, request.headers)
        self.requests[operation] += 1
        if self.slow_down > 0:
            self.slow_down -= 1
            raise Refused(503, "SlowDown", "no tomes available")
        check_signature(
            request.method, request.raw_path, request.headers,
            key=self.key, secret=self.secret, region=self.region, now=self.clock(),
        )  # fmt: skip
        bucket = request.raw_path.lstrip("/").split("?")[0].split("/")[0]
        if bucket != self.bucket:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        if operation in self.denied:
            raise Refused(403, "AccessDenied", "not entitled")
        if self.cap and operation not in _FREE:
            raise Refused(403, "AccessDenied", "Transaction cap exceeded, see the Caps page")
        check_headers(operation, request.headers)
        return operation

    async def _checked_body(self, operation, request):
        if operation == "DeleteObjects":
            body = await request.read()
            check_digest(request.headers, body)
            return body
        return request.content if request.body_exists else None

    async def _forward(self, operation, request, body):
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _HOP
        }
        target = URL(f"{self._inner}{request.raw_path}", encoded=True)
        async with self._session.request(
            request.method, target, headers=headers, data=body, allow_redirects=False
        ) as answer:
            if self.lost_answers[operation] > 0:
                self.lost_answers[operation] -= 1
                await answer.read()
                return self._drop(request)
            if operation in ("CreateMultipartUpload", "ListMultipartUploads"):
                return await self._dated(operation, answer)
            breaks = operation == "GetObject" and self.half_answers > 0
            self.half_answers -= breaks
            return await self._stream(request, answer, breaks=breaks)

    async def _stream(self, request, answer, *, breaks):
        headers = {**self._passed_on(answer), **self._allowed(request)}
        response = web.StreamResponse(status=answer.status, headers=headers)
        left = int(answer.headers.get("Content-Length", 0)) // 2
        with contextlib.suppress(ConnectionError):  # the other side has enough
            await response.prepare(request)
            async for chunk in answer.content.iter_chunked(1 << 18):
                await response.write(chunk)
                left -= len(chunk)
                if breaks and left <= 0:
                    request.transport.close()
                    return response
            await response.write_eof()
        return response

    def _preflight(self, request):
        """A browser asks before it puts something to another site (Fetch: CORS protocol)."""
        if request.headers.get("Origin") not in self.pages:
            self.refusals["Preflight"] += 1
            return web.Response(status=403)
        asked = request.headers.get("Access-Control-Request-Headers")
        more = {"Access-Control-Allow-Headers": asked} if asked else {}
        headers = {"Access-Control-Allow-Methods": "GET, HEAD, PUT"}
        return web.Response(headers={**self._allowed(request), **headers, **more})

    def _allowed(self, request):
        origin = request.headers.get("Origin")
        return {"Access-Control-Allow-Origin": origin} if origin in self.pages else {}

    async def _dated(self, operation, answer):
        """moto tells the same day for all uploads: here they have the time they were opened at."""
        text = await answer.text()
        if operation == "CreateMultipartUpload":
            self._opened_at.update(dict.fromkeys(_ID.findall(text), time.time()))
        else:
            for upload, opened_at in self._opened_at.items():
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(opened_at))
                text = re.sub(
                    rf"(<UploadId>{re.escape(upload)}</UploadId>.*?<Initiated>)[^<]*",
                    rf"\g<1>{stamp}", text, count=1, flags=re.S,
                )  # fmt: skip
        headers = self._passed_on(answer)
        headers.pop("Content-Length", None)
        return web.Response(status=answer.status, body=text.encode(), headers=headers)

    def _passed_on(self, answer):
        kept = {
            n: v
            for n, v in answer.headers.items()
            if n.lower() not in _HOP and not n.lower().startswith("access-control-")
        }
        return {**kept, "Date": self._date()}

    def _date(self):
        return formatdate(self.clock(), usegmt=True)

    def _drop(self, request):
        if request.transport is not None:  # else the other side was faster
            request.transport.abort()
        return web.Response()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", default="videos")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with B2Standin(bucket=options.bucket, port=options.port) as b2:
        print(b2.url)  # noqa: T201
        for name, value in b2.settings.items():
            print(f"{name}={value}", flush=True)  # noqa: T201
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())

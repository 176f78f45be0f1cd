"""URLs that allow one request on one object for a while, and nothing else (AWS Signature v4)."""

from __future__ import annotations

import mimetypes
from urllib.parse import quote

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

#: Signature v4 allows no more, and B2 refuses it.
LONGEST_S = 7 * 86400
SHORTEST_S = 60


class Presigner:
    """Signs for one bucket, without a connection. Safe to use from several threads."""

    def __init__(self, *, endpoint: str, bucket: str, key: str, secret: str, region: str) -> None:
        self._base = f"{endpoint.rstrip('/')}/{quote(bucket)}"
        self._region = region
        self._credentials = Credentials(key, secret)

    def get(self, key: str, lasts_s: float, **query: str) -> str:
        return self._sign("GET", key, lasts_s, query)

    def put(self, key: str, lasts_s: float) -> str:
        return self._sign("PUT", key, lasts_s, {})

    def parts(self, key: str, upload: str, count: int, lasts_s: float) -> tuple[str, ...]:
        """For the parts 1 to ``count`` of an upload that is open."""
        return tuple(self.part(key, upload, number, lasts_s) for number in range(1, count + 1))

    def part(self, key: str, upload: str, number: int, lasts_s: float) -> str:
        query = {"partNumber": str(number), "uploadId": upload}
        return self._sign("PUT", key, lasts_s, query)

    def download(self, key: str, lasts_s: float, name: str = "") -> str:
        """For a browser, which saves the object under its own name (RFC 6266, RFC 8187)."""
        name = name or key.rpartition("/")[2]
        plain = "".join(
            each if each.isascii() and each.isprintable() and each not in '"\\%' else "_"
            for each in name
        )
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        query = {"response-content-disposition": disposition, "response-content-type": kind}
        return self._sign("GET", key, lasts_s, query)

    def _sign(self, method: str, key: str, lasts_s: float, query: dict[str, str]) -> str:
        expires = int(min(max(lasts_s, SHORTEST_S), LONGEST_S))
        url = f"{self._base}/{quote(key, safe='/~')}"
        request = AWSRequest(method=method, url=url, params=query)
        signer = S3SigV4QueryAuth(self._credentials, "s3", self._region, expires=expires)
        signer.add_auth(request)
        return str(request.url)

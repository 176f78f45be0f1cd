"""What Backblaze B2 refuses of the requests that other S3 services take, and how it says so.

Sources: Backblaze's documentation of its S3-compatible API (signature v4 only, calls and headers
that are not supported), AWS Signature Version 4 for S3 (canonical requests, presigned URLs).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

LONGEST_EXPIRY_S = 7 * 86400
SKEW_S = 900
_ALGORITHM = "AWS4-HMAC-SHA256"
_STAMP = "%Y%m%dT%H%M%SZ"

_BUCKET_CALLS = {
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "versions"): "ListObjectVersions",
    ("GET", "lifecycle"): "GetBucketLifecycleConfiguration",
    ("GET", "cors"): "GetBucketCors",
    ("GET", "list-type"): "ListObjectsV2",
    ("POST", "delete"): "DeleteObjects",
    ("HEAD", ""): "HeadBucket",
}
_OBJECT_CALLS = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("PUT", "partNumber"): "UploadPart",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


class Refused(Exception):
    """An error answer of S3."""

    def __init__(self, status, code, message):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message

    @property
    def body(self):
        return (
            f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Error><Code>{self.code}'
            f"</Code><Message>{escape(self.message)}</Message></Error>"
        ).encode()


def operation_of(method, raw_path, headers):
    """The name of a call, as the SDKs write it; :class:`Refused` for one that B2 has not."""
    path, _, query = raw_path.partition("?")
    _, _, key = path.lstrip("/").partition("/")
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    for (verb, mark), operation in (_OBJECT_CALLS if key else _BUCKET_CALLS).items():
        if verb == method and (mark in names or not mark):
            unsupported = {"tagging", "acl", "torrent", "select", "restore"} & set(names)
            if unsupported:
                break
            copies = "x-amz-copy-source" in headers
            return _COPIES.get(operation, operation) if copies else operation
    raise Refused(501, "NotImplemented", f"{method} with {names} is not supported")


def check_headers(operation, headers):
    """Checksums of newer clients, and conditions on writing."""
    for given, value in headers.items():
        name = given.lower()
        if name.startswith("x-amz-checksum") or name in (
            "x-amz-sdk-checksum-algorithm", "x-amz-trailer",
        ):  # fmt: skip
            raise Refused(
                400, "InvalidArgument", f"Unsupported header '{name}' received for this API call."
            )
        if "aws-chunked" in value or value.startswith("STREAMING-"):
            raise Refused(400, "InvalidArgument", "chunked signatures are not supported")
        if name == "if-none-match":
            raise Refused(501, "NotImplemented", "If-None-Match is not supported")
    if operation == "DeleteObjects" and "Content-MD5" not in headers:
        raise Refused(400, "InvalidRequest", "Missing required header for this request")


def check_digest(headers, body):
    """A body that is held against the header that tells its digest."""
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    if headers["Content-MD5"] != digest:
        raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match.")


def check_signature(method, raw_path, headers, *, key, secret, region, now):
    """Signature v4, in the Authorization header or in the query; anything else is refused."""
    path, _, query = raw_path.partition("?")
    pairs = [
        (unquote(name), unquote(value))
        for name, _, value in (each.partition("=") for each in query.split("&") if each)
    ]
    asked = dict(pairs)
    if "Authorization" in headers:
        claim = _read_header(headers)
        if abs(now - _seconds(claim["date"])) > SKEW_S:
            raise Refused(403, "RequestTimeTooSkewed", "The clocks are too far apart.")
        payload = headers["x-amz-content-sha256"]
    elif "X-Amz-Signature" in asked:
        claim = _read_query(asked, now)
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
        payload = "UNSIGNED-PAYLOAD"
    elif "Signature" in asked:
        raise Refused(400, "InvalidRequest", "Signature version 2 is not supported.")
    else:
        raise Refused(403, "AccessDenied", "Unauthenticated requests are not allowed for this api")
    used, day, where, *rest = claim["credential"].split("/")
    if used != key:
        raise Refused(403, "InvalidAccessKeyId", f"The key '{used}' is not valid")
    if where != region or rest != ["s3", "aws4_request"] or not claim["date"].startswith(day):
        raise Refused(400, "AuthorizationHeaderMalformed", f"the region is {region}")
    canonical = _canonical(method, path, pairs, headers, claim["signed"], payload)
    text = _digest_text(claim["date"], f"{day}/{where}/s3/aws4_request", canonical)
    if not hmac.compare_digest(claim["signature"], _sign(secret, day, where, text)):
        raise Refused(403, "SignatureDoesNotMatch", "Signature validation failed")


def _read_header(headers):
    text = headers["Authorization"]
    if not text.startswith(_ALGORITHM):
        raise Refused(400, "InvalidRequest", "Only AWS4-HMAC-SHA256 is supported.")
    parts = dict(each.strip().split("=", 1) for each in text[len(_ALGORITHM) :].split(","))
    return {
        "credential": parts["Credential"],
        "signed": parts["SignedHeaders"],
        "signature": parts["Signature"],
        "date": headers["x-amz-date"],
    }


def _read_query(asked, now):
    if asked.get("X-Amz-Algorithm") != _ALGORITHM:
        raise Refused(400, "InvalidRequest", "Only AWS4-HMAC-SHA256 is supported.")
    expires = int(asked["X-Amz-Expires"])
    if not 0 < expires <= LONGEST_EXPIRY_S:
        raise Refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires: up to 604800")
    if now > _seconds(asked["X-Amz-Date"]) + expires:
        raise Refused(403, "AccessDenied", "Request has expired")
    return {
        "credential": asked["X-Amz-Credential"],
        "signed": asked["X-Amz-SignedHeaders"],
        "signature": asked["X-Amz-Signature"],
        "date": asked["X-Amz-Date"],
    }


def _canonical(method, path, pairs, headers, signed, payload):
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    query = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "\n".join(
        [
            method,
            quote(unquote(path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{values.get(name, '')}" for name in signed.split(";")),
            "",
            signed,
            payload,
        ]
    )


def _digest_text(date, scope, canonical):
    return "\n".join([_ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def _sign(secret, day, region, text):
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _seconds(stamp):
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()

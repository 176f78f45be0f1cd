"""What an S3 service answers, as the errors of this project.

A 403 is never "not there": B2 answers so as well where a cap of the account is reached. Texts name
the setting that is wrong where the code tells it, and never a URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, SSLError
from botocore.parsers import ResponseParserError

from controller.errors import NotStored, StorageError

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload", "NoSuchVersion"})
_BAD_PARTS = frozenset({"EntityTooSmall", "InvalidPart", "InvalidPartOrder"})
_REMEDIES = {
    "AuthorizationHeaderMalformed": "B2_REGION is not the region of B2_ENDPOINT",
    "InvalidAccessKeyId": "B2_KEY is not accepted",
    "NoSuchBucket": "there is no bucket of the name in B2_BUCKET",
    "PermanentRedirect": "B2_ENDPOINT is not where B2_BUCKET lies",
    "RequestTimeTooSkewed": "the clock of this computer is wrong",
    "SignatureDoesNotMatch": "B2_SECRET does not belong to B2_KEY, or B2_REGION is wrong",
}
_TEXT_LIMIT = 200


class Refusal(StorageError):
    """The service answered, and did not do it."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@contextmanager
def translated(what: str) -> Iterator[None]:
    """``what`` begins the text of an error: a key, or what was being done."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(what, error) from None
    except EndpointConnectionError:
        raise StorageError(f"{what}: B2_ENDPOINT cannot be reached") from None
    except SSLError:
        raise StorageError(f"{what}: B2_ENDPOINT has no valid certificate") from None
    except TimeoutError:
        raise StorageError(f"{what}: no answer in time") from None
    except (BotoCoreError, aiohttp.ClientError) as error:
        # their texts repeat the URL
        raise StorageError(f"{what}: {type(error).__name__}") from None
    except (ResponseParserError, ValueError, LookupError, RuntimeError):
        # what the client library raises at XML, numbers and dates that are none
        raise StorageError(f"{what}: an answer that makes no sense") from None


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _from_answer(what: str, error: ClientError) -> StorageError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _ABSENT:
        return NotStored(f"nothing at {what}")
    if code in _BAD_PARTS:
        return NotStored(f"{what}: the parts cannot be put together ({code})")
    return Refusal(f"{what}: {_reason(code, status, error)}", code=code, status=status)


def _reason(code: str, status: int, error: ClientError) -> str:
    if code in _REMEDIES:
        return f"{_REMEDIES[code]} ({code})"
    text = str(error.response.get("Error", {}).get("Message", ""))[:_TEXT_LIMIT]
    if status == 403:
        return f"refused: B2_KEY may not do this, or a cap is reached ({code}: {text})"
    return f"{code}: {text}"

"""Upload pages: who was offered one, its address, and how long it is good for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ulid import ULID

from controller.capabilities import Codes, Upload, UploadState
from controller.errors import UploadGone
from controller.records import Request
from controller.settings import Settings
from controller.store import Store

#: What the keys of such requests begin with: nobody made a card for their jobs yet.
PREFIX = "web:"
OFFER_S = 24 * 3600.0
_LONGEST_S = 7 * 86400.0
_TOUCH_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A page that takes one file."""

    url: str
    expires_at: float


class Offers:
    """The rows of the pages; their files are others' business."""

    def __init__(
        self, *, store: Store, settings: Settings, codes: Codes, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._settings = settings
        self._codes = codes
        self._clock = clock

    def offer(self, request: Request) -> Offer | None:
        """The page of a request, made if there is none; None without ``NOXFVR_PUBLIC_URL``."""
        if not self._settings.public_url:
            return None
        key = request.key if request.key.startswith(PREFIX) else f"{PREFIX}{request.key}"
        upload = self._store.uploads.by_request(key) or self._add(key, request)
        if self.is_over(upload):
            upload = self._renew(upload)
        code = self._code(upload)
        if Codes.hash(code) != upload.code_hash:  # the secret is another one now
            upload = self._store.uploads.change(upload, code_hash=Codes.hash(code)) or upload
        return Offer(url=f"{self._settings.public_url}/u/{code}", expires_at=upload.expires_at)

    def find(self, code: str) -> Upload:
        """By the code in its address; :class:`UploadGone`."""
        upload = self._store.uploads.by_code(Codes.hash(code))
        if upload is None or self.is_over(upload):
            raise UploadGone
        return upload

    def is_over(self, upload: Upload) -> bool:
        """Whether nothing more is taken: its time has come, and no file has."""
        late = upload.expires_at <= self._clock() and upload.state is not UploadState.TAKEN
        return late or upload.state is UploadState.EXPIRED

    def until(self, upload: Upload) -> float:
        """A page that is used goes on for another day, a week in all."""
        return max(upload.expires_at, min(self._clock() + OFFER_S, upload.created_at + _LONGEST_S))

    def touch(self, upload: Upload) -> None:
        """Note that a page is used; not each time, as it is a write."""
        until = self.until(upload)
        if until > upload.expires_at + _TOUCH_S:
            self._store.uploads.change(upload, expires_at=until)

    def _add(self, key: str, request: Request) -> Upload:
        now, upload_id = self._clock(), str(ULID())
        return self._store.uploads.add(
            Upload(
                id=upload_id,
                code_hash=Codes.hash(self._codes.make("upload", upload_id, now)),
                request_key=key,
                owner=request.owner,
                chat=request.chat,
                reply_to=request.reply_to,
                language=request.language,
                state=UploadState.OPEN,
                name="",
                bytes=0,
                modified=0,
                part_bytes=0,
                key="",
                storage_id="",
                job=None,
                error="",
                created_at=now,
                expires_at=now + OFFER_S,
            )
        )

    def _renew(self, upload: Upload) -> Upload:
        """A page anew in the place of one that is over; what is left of it is swept as ever."""
        now = self._clock()
        code = self._codes.make("upload", upload.id, now)
        changed = self._store.uploads.change(
            upload, code_hash=Codes.hash(code), created_at=now, expires_at=now + OFFER_S,
            state=UploadState.OPEN if upload.state is UploadState.EXPIRED else upload.state,
        )  # fmt: skip
        return changed or self._store.uploads.by_request(upload.request_key) or upload

    def _code(self, upload: Upload) -> str:
        return self._codes.make("upload", upload.id, upload.created_at)

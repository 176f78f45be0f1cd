"""Files of the sandbox: ids, storage, ``getFile`` with its 20 MB rule, paths of local mode."""

from __future__ import annotations

import mimetypes
import re
import secrets
import shutil
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.sandbox.chats import Json
from bot.sandbox.errors import Text, bad_request
from bot.sandbox.limits import MIB, Rules
from bot.sandbox.params import Upload

MAX_PHOTO_BYTES = 10 * MIB
MAX_PHOTO_SIDES_PX = 10_000
MAX_PHOTO_RATIO = 20
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
DEFAULT_SIZE = (1280, 720)
DEFAULT_DURATION_S = 10


class FileKind(StrEnum):
    VIDEO = "video"
    DOCUMENT = "document"
    PHOTO = "photo"
    THUMBNAIL = "thumbnail"


# How ids of these kinds begin on Telegram.
_PREFIX = {
    FileKind.VIDEO: "BAACAgI",
    FileKind.DOCUMENT: "BQACAgI",
    FileKind.PHOTO: "AgACAgI",
    FileKind.THUMBNAIL: "AAMCAgI",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """``size`` is what updates and ``getFile`` say, in bytes; width and height are pixels."""

    file_id: str
    unique_id: str
    kind: FileKind
    path: Path
    size: int
    file_name: str | None = None
    mime_type: str | None = None
    width: int = 0
    height: int = 0
    duration_s: int = 0
    thumbnail: StoredFile | None = None

    def to_json(self) -> Json:
        """``video``, ``document``, ``thumbnail`` or one size of ``photo`` in a message."""
        described: Json = {
            "file_id": self.file_id,
            "file_unique_id": self.unique_id,
            "file_size": self.size,
        }
        if self.kind is not FileKind.DOCUMENT:
            described |= {"width": self.width, "height": self.height}
        if self.kind is FileKind.VIDEO:
            described["duration"] = self.duration_s
        if self.kind in {FileKind.VIDEO, FileKind.DOCUMENT}:
            described |= {"file_name": self.file_name, "mime_type": self.mime_type}
        if self.thumbnail is not None:
            described["thumbnail"] = self.thumbnail.to_json()
        return {key: value for key, value in described.items() if value is not None}


class FileStore:
    """Keeps files under ``root/<token>/<kind>s/``, as the Bot API server in local mode does."""

    def __init__(self, root: Path, token: str, rules: Rules) -> None:
        self._home = root.resolve() / token
        self._spool = self._home / "temp"
        self._rules = rules
        self._files: dict[str, StoredFile] = {}
        self._counter = 0
        self._spool.mkdir(parents=True, exist_ok=True)

    def spool(self) -> Path:
        """A path for a file that is still coming in."""
        return self._spool / secrets.token_hex(8)

    def adopt(
        self,
        upload: Upload,
        kind: FileKind,
        *,
        file_name: str | None = None,
        size: int | None = None,
        dimensions: tuple[int, int] | None = None,
        duration_s: int | None = None,
        thumbnail: StoredFile | None = None,
    ) -> StoredFile:
        """Move an upload into the store and give it an id; ``size`` overrides the real one.

        Raises:
            ApiError: an empty file, or a photo that is no image.
        """
        if upload.size == 0 and size is None:
            raise bad_request(Text.FILE_EMPTY)
        if kind in {FileKind.PHOTO, FileKind.THUMBNAIL}:
            dimensions = photo_size(upload)
        name = upload.file_name if file_name is None else file_name
        width, height = dimensions or DEFAULT_SIZE
        stored = StoredFile(
            file_id=_PREFIX[kind] + secrets.token_urlsafe(42),
            unique_id="AgAD" + secrets.token_urlsafe(8),
            kind=kind,
            path=self._place(upload.path, kind, name),
            size=upload.size if size is None else size,
            file_name=name,
            mime_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            width=width,
            height=height,
            duration_s=DEFAULT_DURATION_S if duration_s is None else duration_s,
            thumbnail=thumbnail,
        )
        self._files[stored.file_id] = stored
        return stored

    def import_path(self, path: Path) -> Upload:
        """Take over a file of this disk, which ``file:///…`` names in local mode.

        Raises:
            ApiError: the path is relative or no file.
        """
        if not path.is_absolute() or not path.is_file():
            raise bad_request(Text.FILE_WRONG)
        target = self.spool()
        shutil.copyfile(path, target)
        return Upload(path=target, size=target.stat().st_size, file_name=path.name)

    def get(self, file_id: str) -> StoredFile | None:
        return self._files.get(file_id)

    def locate(self, file_id: str | None) -> Json:
        """The Bot API's ``File`` with a ``file_path``: relative, or absolute in local mode.

        Raises:
            ApiError: an unknown id, or a file over the download limit.
        """
        stored = self._files.get(file_id or "")
        if stored is None:
            raise bad_request(Text.FILE_UNAVAILABLE)
        if stored.size > self._rules.download_bytes:
            raise bad_request(Text.FILE_TOO_BIG)
        local = self._rules.local_files
        path = str(stored.path) if local else stored.path.relative_to(self._home).as_posix()
        return {
            "file_id": stored.file_id,
            "file_unique_id": stored.unique_id,
            "file_size": stored.size,
            "file_path": path,
        }

    def served(self, relative: str) -> Path | None:
        """The file behind ``/file/bot<token>/<relative>``; none in local mode."""
        if self._rules.local_files:
            return None
        for stored in self._files.values():
            if stored.path.relative_to(self._home).as_posix() == relative:
                return stored.path
        return None

    def _place(self, source: Path, kind: FileKind, name: str) -> Path:
        # Only the extension of the sender's name reaches the disk.
        found = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
        target = self._home / f"{kind}s" / f"file_{self._counter}{found[0] if found else ''}"
        self._counter += 1
        target.parent.mkdir(exist_ok=True)
        return source.replace(target)


def is_mp4(path: Path) -> bool:
    """True for ISO base media: the second word is ``ftyp`` (ISO/IEC 14496-12, 4.3)."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PNG_MAGIC)) == PNG_MAGIC


def photo_size(upload: Upload) -> tuple[int, int]:
    """Width and height of a PNG or JPEG in pixels.

    Raises:
        ApiError: too many bytes, no such image, sides or ratio that Telegram refuses.
    """
    if upload.size > MAX_PHOTO_BYTES:
        raise bad_request(
            f"file of size {upload.size} bytes is too big for a photo; "
            f"the maximum size is {MAX_PHOTO_BYTES} bytes"
        )
    size = _image_size(upload.path.read_bytes())
    if size is None or 0 in size:
        raise bad_request(Text.IMAGE_INVALID)
    if sum(size) > MAX_PHOTO_SIDES_PX or max(size) > MAX_PHOTO_RATIO * min(size):
        raise bad_request(Text.PHOTO_DIMENSIONS)
    return size


def _image_size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(PNG_MAGIC) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data.startswith(JPEG_MAGIC):
        return _jpeg_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk to the frame header (ITU-T T.81, B.2.2: SOF0-SOF15 without DHT, JPG, DAC)."""
    position = 2
    while position + 9 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None

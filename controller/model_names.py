"""How a model may be asked for: by its name, or as a weight file that lies somewhere."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path, PurePosixPath

#: Weight files by their names.
SUFFIXES = frozenset({".pth", ".pt", ".pkl", ".safetensors"})
#: Published files that the runner's catalog has hashes for: what a mirror may hold.
PUBLISHED = (
    "realesr-animevideov3.pth",
    "realesr-general-x4v3.pth",
    "realesr-general-wdn-x4v3.pth",
    "RealESRGAN_x4plus.pth",
    "RealESRGAN_x4plus_anime_6B.pth",
    "RealESRGAN_x2plus.pth",
    "flownet_v4.6.pkl",
    "flownet_v4.25.pkl",
    "flownet_v4.26.pkl",
)
#: What may be asked for beside a name, for messages.
OTHERWISE = "a weight file in storage, or https://…#sha256=<64 hexadecimal digits>"

_URL = re.compile(r"https://[^\s/@#]+/[^\s#]*#sha256=[0-9a-fA-F]{64}")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_ACCOUNT = re.compile(r"://[^/]*@")
_BUCKET_SCHEMES = ("b2://", "s3://")


class Kind(StrEnum):
    """Where a model comes from."""

    NAME = "name"
    URL = "url"
    """``https://…#sha256=<hexadecimal>``."""
    KEY = "key"
    """An object in storage, as users write paths there."""
    PATH = "path"
    """A file of this computer, by its absolute path."""


def find_kind(reference: str, names: Collection[str]) -> Kind | None:
    """What a reference is by its looks; None for what can be no model."""
    if reference in names:
        return Kind.NAME
    if _URL.fullmatch(reference):
        return Kind.URL
    if PurePosixPath(reference).suffix not in SUFFIXES:
        return None
    if reference.startswith("/"):
        return Kind.PATH
    foreign = _SCHEME.match(reference) and not reference.lower().startswith(_BUCKET_SCHEMES)
    return None if foreign else Kind.KEY


def resolve_path(reference: str) -> str:
    """A weight file of this computer as its absolute path, anything else as it is."""
    path = Path(reference)
    wanted = path.suffix in SUFFIXES and "://" not in reference and is_file(reference)
    return str(path.absolute()) if wanted else reference


def is_file(path: str) -> bool:
    """Whether a file lies there; one that may not even be looked at does not."""
    try:
        return Path(path).is_file()
    except OSError:  # a folder of somebody else, a name that is too long
        return False


def show_reference(reference: str) -> str:
    """Short, and without what may be a secret in a URL."""
    shown = reference.partition("#")[0].partition("?")[0]
    return _ACCOUNT.sub("://", shown)[:60]

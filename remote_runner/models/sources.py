"""Where the weights come from that a task asks for."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from remote_runner.errors import InputError, MachineError
from remote_runner.models import catalog
from remote_runner.models.catalog import ModelSpec
from remote_runner.models.fetch import Download, fetch, is_good
from remote_runner.protocol import Reason

log = logging.getLogger(__name__)

SUFFIXES = (".pth", ".pt", ".pkl", ".safetensors")
_URL = re.compile(r"(?:https|http)://")
_HASH = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Turns a reference into a file on this machine. A reference is one of

    - a name in the catalog: shipped, else from the mirror, else from where it was published;
    - ``https://…#sha256=<hex>``: fetched once and kept under its hash;
    - an object key that ``weights`` has a URL for: fetched anew each time, for no hash is known;
    - a path on this machine, where ``allow_paths``.
    """

    weights: Mapping[str, str] = field(default_factory=dict, repr=False)
    """URLs by file name (the mirror) or by object key: secrets, never told to anybody."""
    allow_paths: bool = False
    cache_dir: Path | None = None

    def locate(self, reference: str) -> Path:
        """The file; :class:`InputError` (``bad_task``) for a reference that is none of the above,
        :class:`MachineError` (``model_unavailable``) where it cannot be had."""
        if (spec := catalog.ALL.get(reference)) is not None:
            return self.fetch(spec)
        if _URL.match(reference):
            return self._fetch_url(reference)
        if reference in self.weights:
            return self._fetch_object(reference)
        if self.allow_paths and _is_path(reference):
            return Path(reference)
        known = ", ".join([catalog.AUTO, *catalog.ALL])
        detail = f"there is no model {reference!r}; known: {known}"
        if _is_path(reference):
            detail = f"{reference!r} is neither an object that came with the job nor a path" + (
                " that may be used here" if not self.allow_paths else ""
            )
        raise InputError(Reason.BAD_TASK, detail)

    def fetch(self, spec: ModelSpec) -> Path:
        """The file of a model of the catalog."""
        if spec.download is None:
            return catalog.shipped_dir() / spec.file
        mirrored = self.weights.get(spec.file)
        if mirrored is None:
            return fetch(spec.download, cache_dir=self.cache_dir)
        try:
            return self._fetch_mirrored(spec.download, mirrored)
        except MachineError as error:
            if error.reason is not Reason.MODEL_UNAVAILABLE:
                raise
            log.warning("the mirror has no %s: %s", spec.file, error.detail)
            return fetch(spec.download, cache_dir=self.cache_dir)

    def label(self, reference: str) -> str:
        """What a model is called in reports."""
        if reference in catalog.ALL:
            return reference
        path = urlsplit(reference).path if _URL.match(reference) else reference
        return Path(unquote(path)).stem or "model"

    def _fetch_mirrored(self, published: Download, url: str) -> Path:
        local = _local_path(url)
        if local is None:
            mirror = Download(
                url=url,
                bytes=published.bytes,
                sha256=published.sha256,
                name=published.file,
                secret=True,
            )
            return fetch(mirror, cache_dir=self.cache_dir, tries=2)
        if not is_good(local, published):
            raise MachineError(Reason.MODEL_UNAVAILABLE, "it is not the file that was published")
        return local

    def _fetch_url(self, reference: str) -> Path:
        url, _, fragment = reference.partition("#")
        found = _HASH.fullmatch(fragment)
        if found is None:
            detail = "the URL of a model must end in #sha256= and 64 hexadecimal digits"
            raise InputError(Reason.BAD_TASK, detail)
        sha256 = found[1].lower()
        try:
            name = sha256 + _suffix(urlsplit(url).path)
        except ValueError:
            raise InputError(Reason.BAD_TASK, "the URL of a model is no address") from None
        return fetch(
            Download(url=url, sha256=sha256, name=name, secret=True), cache_dir=self.cache_dir
        )

    def _fetch_object(self, key: str) -> Path:
        url = self.weights[key]
        local = _local_path(url)
        if local is not None:
            return local
        name = f"object-{hashlib.sha256(key.encode()).hexdigest()[:16]}{_suffix(key)}"
        return fetch(Download(url=url, name=name, secret=True), cache_dir=self.cache_dir)


def _is_path(reference: str) -> bool:
    return reference.endswith(SUFFIXES) or "/" in reference


def _suffix(path: str) -> str:
    suffix = Path(path).suffix
    return suffix if suffix in SUFFIXES else ""


def _local_path(url: str) -> Path | None:
    """Where storage is a folder of this machine, its URLs are of files."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return None

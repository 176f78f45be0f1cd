"""Looks for secrets in what would be committed: ``python -m tests.security.secret_scan``.

What is known and harmless, as a published hash or the made-up token of a test, is in a list beside
the CI by file, kind and hash, never in clear. ``--accept`` writes the list anew: read what changed
before you commit it.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import click
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[2]
ACCEPTED = ROOT / ".ci" / "secrets.json"
#: Pictures, films and weights: nobody types a secret into one.
_BINARY = {".png", ".jpg", ".ico", ".mp4", ".pth", ".webp"}
_LEFT_OUT = {".git", "__pycache__", ".venv", ".venv-reference", "node_modules"}


def find_secrets(folder: Path) -> set[tuple[str, str, str]]:
    """File, kind and hash of whatever looks like a secret in the files of a folder."""
    found = SecretsCollection(root=str(folder))
    with default_settings():
        found.scan_files(*list_files(folder), num_processors=min(2, os.cpu_count() or 1))
    return {(Path(name).as_posix(), secret.type, secret.secret_hash) for name, secret in found}


def list_files(folder: Path) -> list[str]:
    """What git has or would take, without what it ignores; all of it where there is no git."""
    asked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = asked.stdout.split("\0")[:-1] if asked.returncode == 0 else _walk(folder)
    here = ACCEPTED.relative_to(ROOT).as_posix()
    return sorted(
        name
        for name in names
        if Path(name).suffix not in _BINARY and name != here and (folder / name).is_file()
    )


def read_accepted(path: Path = ACCEPTED) -> set[tuple[str, str, str]]:
    if not path.exists():
        return set()
    rows = json.loads(path.read_text("utf-8"))
    return {(row["file"], row["kind"], row["hash"]) for row in rows}


def main() -> int:
    """Exit code 1 where there is something new."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="take what is found for harmless")
    options = parser.parse_args()
    found = find_secrets(ROOT)
    if options.accept:
        rows = [dict(zip(("file", "kind", "hash"), each, strict=True)) for each in sorted(found)]
        ACCEPTED.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        click.echo(f"Secrets: {len(rows)} accepted, read them in {ACCEPTED.relative_to(ROOT)}")
        return 0
    new = sorted(found - read_accepted())
    for name, kind, _ in new:
        click.echo(f"Secrets: {name} has what looks like one ({kind})")
    if new:
        click.echo(
            "Secrets: take it out; for what is none: python -m tests.security.secret_scan --accept"
        )
        return 1
    click.echo(f"Secrets: none but {len(found)} that are known to be harmless")
    return 0


def _walk(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not _LEFT_OUT & set(path.relative_to(folder).parts)
    ]


if __name__ == "__main__":
    sys.exit(main())

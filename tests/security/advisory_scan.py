"""Asks OSV for known vulnerabilities of every pinned library:
``python -m tests.security.advisory_scan``.

One that does not concern us, or cannot be mended yet, is listed beside the CI with a reason and
the day until which that holds. Where the service cannot be reached nothing is known, which is said
and fails nothing: a check of code must not depend on somebody's server.
"""

import datetime
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

ROOT = Path(__file__).parents[2]
ACCEPTED = ROOT / ".ci" / "advisories.toml"
PINNED = ("constraints.txt", "constraints-reference.txt")
LIMIT_S = 18.0
_NETWORK = re.compile(r"ConnectionError|Timeout|ServiceError|ProxyError|SSLError|HTTPError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """A vulnerability of one library of ours."""

    ids: frozenset[str]
    """The same thing has several: PYSEC, CVE, GHSA."""
    library: str
    mended_in: tuple[str, ...]


class Unreachable(Exception):
    """The service could not be asked, or did not answer in time."""


def ask() -> list[Advisory]:
    """What is known of the pinned versions; :class:`Unreachable` where that is not known."""
    with ThreadPoolExecutor(len(PINNED)) as pool:
        return [each for found in pool.map(_ask, PINNED) for each in found]


def _ask(name: str) -> list[Advisory]:
    """Of one list: a library may be in several, with another version in each."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write(read_pins(name))
        pins.flush()
        command = [
            sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--no-deps",
            "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "4",
            "--requirement", pins.name,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"no answer in {LIMIT_S:g} s") from None
    return read_answer(done.stdout) if done.stdout.strip() else explain_silence(done.stderr)


def read_pins(name: str) -> str:
    """A list as pip-audit can read it: it knows no third equal sign."""
    return (ROOT / name).read_text("utf-8").replace("===", "==")


def explain_silence(errors: str) -> NoReturn:
    """:class:`Unreachable` where it is the line; anything else is a mistake of ours, and fails."""
    last = (errors.strip().splitlines() or ["it said nothing"])[-1][:200]
    if _NETWORK.search(errors):
        raise Unreachable(last)
    raise ValueError(f"pip-audit does not work: {last}")


def read_answer(text: str) -> list[Advisory]:
    """Of pip-audit's JSON; :class:`ValueError` where it is none, or some library was left out."""
    found = []
    for library in json.loads(text)["dependencies"]:
        if reason := library.get("skip_reason"):
            raise ValueError(reason)
        for row in library["vulns"]:
            ids = frozenset({row["id"], *row["aliases"]})
            mended_in = tuple(row["fix_versions"])
            found.append(Advisory(ids=ids, library=library["name"], mended_in=mended_in))
    return found


def read_accepted(path: Path = ACCEPTED) -> dict[str, datetime.date]:
    """Until when each id is accepted; :class:`ValueError` for one without a reason or a day."""
    accepted = {}
    for row in tomllib.loads(path.read_text("utf-8")).get("accepted", []):
        if not (row.get("id") and row.get("reason")):
            raise ValueError(f"{path.name}: an id and a reason are needed: {row}")
        if type(row.get("until")) is not datetime.date:
            raise ValueError(f"{path.name}: {row['id']} needs a day: until = 2030-01-31")
        accepted[row["id"]] = row["until"]
    return accepted


def judge(
    found: list[Advisory], accepted: dict[str, datetime.date], today: datetime.date
) -> list[str]:
    """A line for each advisory that is not accepted, or not any more."""
    lines = []
    for each in found:
        untils = [accepted[name] for name in each.ids if name in accepted]
        if untils and max(untils) >= today:
            continue
        late = f"; it was accepted until {max(untils)}" if untils else ""
        mended = f"mended in {', '.join(each.mended_in)}" if each.mended_in else "not mended yet"
        lines.append(f"{each.library}: {', '.join(sorted(each.ids))}, {mended}{late}")
    return lines


def main(ask: Callable[[], list[Advisory]] = ask) -> int:
    """Exit code 1 for a vulnerability that nobody accepted."""
    try:
        accepted = read_accepted()
        found = ask()
    except ValueError as error:
        click.echo(f"Advisories: {error}")
        return 1
    except Unreachable as error:
        click.echo(f"Advisories: NOT CHECKED, the service cannot be asked: {error}")
        return 0
    lines = judge(found, accepted, datetime.datetime.now(datetime.UTC).date())
    for line in lines:
        click.echo(f"Advisories: {line}")
    if not lines:
        click.echo(f"Advisories: none that counts, {len(found)} accepted")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

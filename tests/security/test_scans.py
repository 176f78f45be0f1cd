"""The checks of ``make check`` find what they are there to find."""

import datetime
import json
import secrets
import string
import subprocess

import pytest
from pip_audit._dependency_source import RequirementSource

from tests.security import advisory_scan, secret_scan
from tests.security.advisory_scan import (
    Advisory,
    Unreachable,
    explain_silence,
    judge,
    read_accepted,
    read_answer,
)

TODAY = datetime.date(2030, 1, 15)
FOUND = Advisory(ids=frozenset({"GHSA-1", "CVE-2"}), library="aiohttp", mended_in=("9.9",))


def letters(count):
    """Made here: a token in this file would be found itself."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


def plant():
    return {
        "bot token": f"TELEGRAM_BOT_TOKEN={secrets.randbelow(10**9) + 10**9}:{letters(35)}\n",
        "market key": f'VAST_API_KEY = "{secrets.token_hex(32)}"\n',
        "bucket key": f'secret = "K005{letters(27)}"\n',
        "cloud key": "aws = 'AKIA" + letters(16).upper() + "'\n",
        "private key": "-----BEGIN " + "RSA PRIVATE KEY-----\n",
        "address": "https://me:" + letters(12) + "@example.org/x\n",
    }


def test_a_planted_secret_is_found(tmp_path):
    planted = plant()
    for name, line in planted.items():
        (tmp_path / f"{name}.py").write_text(line)
    (tmp_path / "harmless.py").write_text("x = 'nothing to see'\n" * 20)
    found = secret_scan.find_secrets(tmp_path)
    assert {name for name, _, _ in found} == {f"{name}.py" for name in planted}
    shown = json.dumps(sorted(found))
    assert not any(line.split("=")[-1].strip(" \"'\n") in shown for line in planted.values())


def test_what_git_ignores_is_left_out_and_what_is_new_is_not(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(".env\n")
    (tmp_path / ".env").write_text(plant()["market key"])
    (tmp_path / "new.py").write_text("")
    assert secret_scan.list_files(tmp_path) == [".gitignore", "new.py"]


def test_what_is_accepted_names_files_that_are_there():
    accepted = secret_scan.read_accepted()
    assert accepted
    assert all((secret_scan.ROOT / name).is_file() for name, _, _ in accepted)


@pytest.mark.parametrize(
    ("accepted", "lines"),
    [
        ({}, 1), ({"CVE-2": TODAY}, 0), ({"GHSA-1": datetime.date(2031, 1, 1)}, 0),
        ({"CVE-2": datetime.date(2030, 1, 14)}, 1), ({"CVE-9": TODAY}, 1),
    ],
)  # fmt: skip
def test_a_vulnerability_counts_until_somebody_accepts_it_and_again_afterwards(accepted, lines):
    assert len(judge([FOUND], accepted, TODAY)) == lines


def test_a_found_vulnerability_fails_and_silence_does_not(capsys):
    def be_silent():
        raise Unreachable("no answer in 18 s")

    assert advisory_scan.main(lambda: [FOUND]) == 1
    assert "aiohttp: CVE-2, GHSA-1, mended in 9.9" in capsys.readouterr().out
    assert advisory_scan.main(be_silent) == 0
    assert "NOT CHECKED" in capsys.readouterr().out
    assert advisory_scan.main(list) == 0


def test_an_answer_that_leaves_something_out_is_no_answer():
    vulnerable = {"id": "GHSA-1", "aliases": ["CVE-2"], "fix_versions": ["9.9"]}
    library = {"name": "aiohttp", "version": "1", "vulns": [vulnerable]}
    assert read_answer(json.dumps({"dependencies": [library]})) == [FOUND]
    left_out = {"name": "torch", "skip_reason": "not found"}
    for text in ("", "<html>", json.dumps({"dependencies": [library, left_out]})):
        with pytest.raises(ValueError):
            read_answer(text)


def test_only_a_line_that_is_down_excuses_a_missing_answer():
    with pytest.raises(Unreachable):
        explain_silence("Traceback\nrequests.exceptions.ConnectionError: no such name\n")
    for errors in ("", "ERROR: package certifi has duplicate requirements", "No module pip_audit"):
        with pytest.raises(ValueError):
            explain_silence(errors)


@pytest.mark.parametrize("name", advisory_scan.PINNED)
def test_every_pinned_library_is_asked_about(name, tmp_path):
    """A line that cannot be read would leave all of them unasked."""
    pins = tmp_path / "pins.txt"
    pins.write_text(advisory_scan.read_pins(name))
    found = list(RequirementSource([pins], no_deps=True, disable_pip=True).collect())
    assert len(found) == sum("==" in line for line in pins.read_text().splitlines())


@pytest.mark.parametrize(
    "row",
    ['id = "CVE-1"\nuntil = 2030-01-31', 'id = "CVE-1"\nreason = "x"', 'reason = "x"',
     'id = "CVE-1"\nreason = "x"\nuntil = "soon"'],
)  # fmt: skip
def test_nothing_is_accepted_without_a_reason_and_a_day(tmp_path, row):
    path = tmp_path / "advisories.toml"
    path.write_text(f"[[accepted]]\n{row}\n")
    with pytest.raises(ValueError):
        read_accepted(path)


def test_the_list_beside_the_ci_can_be_read():
    assert isinstance(read_accepted(), dict)

import importlib.metadata
import os
import subprocess
import sys

import pytest

from controller.bootstrap import runner_requirements
from remote_runner import boot
from tests.controller.machine_world import (
    SIGNATURE,
)
from tests.runner.boot.conftest import refusal, runs

PUT_PACKAGE = (
    'mkdir -p "$SITE/imaginary-1.3.dist-info" && printf "Name: imaginary\\nVersion: 1.3\\n" \
> "$SITE/imaginary-1.3.dist-info/METADATA"'
)


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return {"PYTHONPATH": str(folder), "SITE": str(folder)}


def test_uv_installs_what_is_missing_and_nothing_else(prepared, program, tmp_path, site):
    program("uv", f'echo "$@" > {tmp_path}/asked\n{PUT_PACKAGE}')
    wanted = ("pytest>=8", "imaginary>=1.2.5")
    assert prepared(env=site, requirements=wanted).code == 0
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["pip", "install", "--python", sys.executable, "imaginary>=1.2.5"]
    assert len(runs(tmp_path)) == 1


def test_an_older_version_counts_as_missing(prepared, program, tmp_path, site):
    program("uv", f'echo "$@" > {tmp_path}/asked')
    subprocess.run(["bash", "-c", PUT_PACKAGE], env={**os.environ, **site}, check=True)
    assert prepared(env=site, requirements=("imaginary>=1.10",)).code == 1
    assert (tmp_path / "asked").read_text().split()[-1] == "imaginary>=1.10"


def test_pip_installs_where_there_is_no_uv(prepared, tmp_path, site):
    (tmp_path / "site" / "pip").mkdir()
    (tmp_path / "site" / "pip" / "__init__.py").touch()
    (tmp_path / "site" / "pip" / "__main__.py").write_text(
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"raise SystemExit(os.system({PUT_PACKAGE!r}))\n"
    )
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    assert prepared(env=site, path=path, requirements=("imaginary",)).code == 0
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:2] == ["install", "--no-input"] and asked[-1] == "imaginary"


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        (
            f"echo 'error: cannot fetch https://user:{SIGNATURE}@index/simple/'; exit 2",
            "install_failed",
            "install: exit code 2, error: cannot fetch (URL)",
        ),
        (
            "echo 'OSError: [Errno 28] No space left on device'; echo; echo hint: try; exit 1",
            "disk_full",
            "install: exit code 1, hint: try",
        ),
        ("true", "install_failed", "still missing: imaginary>=1.2"),
        ("kill -9 $$", "install_failed", "install: killed by signal 9"),
    ],
)
def test_an_install_that_fails_says_its_last_words(
    world, prepared, program, tmp_path, text, reason, said
):
    program("uv", text)
    assert prepared(requirements=("imaginary>=1.2",)).code == 1
    assert refusal(world) == (reason, said)
    assert not runs(tmp_path) and not world.count("GET", "bundle")


@pytest.mark.parametrize(
    ("installed", "requirement", "met"),
    [
        ("2.11.0+cu128", "torch>=2.6", True),
        ("2.6.0a0", "torch>=2.6", True),
        ("2.10", "torch>=2.9", True),
        ("2.5.1", "torch>=2.6", False),
        ("2", "torch>=2.0.0", True),
        ("0.1", "torch", True),
        (None, "torch", False),
    ],
)
def test_versions_are_compared_as_numbers(monkeypatch, installed, requirement, met):
    def version(name):
        assert name == "torch"
        if installed is None:
            raise importlib.metadata.PackageNotFoundError
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert boot.is_met(requirement) is met


def test_the_runners_own_requirements_are_understood_and_others_refused():
    assert {"torch", "av"} <= {text.split(">=")[0] for text in runner_requirements()}
    assert all(boot.is_met(requirement) for requirement in runner_requirements())
    for odd in ("torch==2.6", "torch>=2,<3", "-r other.txt", ""):
        with pytest.raises(boot.Refused, match="not understood"):
            boot.is_met(odd)


def test_an_old_python_is_refused(monkeypatch):
    boot.check_python()
    monkeypatch.setattr(sys, "version_info", (3, 10, 12, "final", 0))
    with pytest.raises(boot.Refused, match=r"3\.11\.4 is needed, the image has 3\.10\.12"):
        boot.check_python()


# --- the repository --------------------------------------------------------------------------

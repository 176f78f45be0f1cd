import dataclasses
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from importlib.resources import files

import pytest

from controller.bootstrap import BootPlan, build_bundle, runner_requirements, second_script
from remote_runner import boot
from remote_runner.protocol import Boot, BootPhase, Reason, from_json
from tests.controller.machine_world import (
    KEY,
    SIGNATURE,
    VENV_BIN,
    Machine,
    MachineWorld,
    pack,
)

#: A runner that notes how it was called and does as the file ``behaviour`` says.
RUNNER = """
import json, os, signal, sys
if sys.argv[1] == "device":
    exec(open("../../device").read() if os.path.exists("../../device") else "")
    print(json.dumps({"device": "a card"}))
    sys.exit()
with open("../../runs", "a") as file:
    file.write(json.dumps({"arguments": sys.argv[1:], "env": dict(os.environ)}) + "\\n")
count = len(open("../../runs").readlines())
os.makedirs(os.environ["NOXFVR_WORK_DIR"] + "/left", exist_ok=False)
codes = json.load(open("../../codes"))
code = codes[min(count, len(codes)) - 1]
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""
CARD = "NVIDIA GeForce RTX 5060 Ti, 12.0, 16311"


@pytest.fixture
def world():
    world = MachineWorld()
    yield world
    world.close()


@pytest.fixture
def prepared(world, tmp_path):
    """A machine with a small runner in the world, to be booted with changes to the plan."""
    data, sha256 = pack({"remote_runner/__init__.py": "", "remote_runner/__main__.py": RUNNER})
    world.objects["bundle"] = data
    (tmp_path / "bin").mkdir()
    (tmp_path / "codes").write_text("[0]")
    (tmp_path / "noxfvr").mkdir()

    def prepare(*, env=None, path=None, timeout=30.0, **changes):
        plan = BootPlan(
            **{
                "orders_url": world.url("orders"),
                "boot_url": world.url("boot"),
                "deadline_at": 1_893_456_000.5,
                "device": "cpu",
                "bundle_url": world.url("bundle"),
                "bundle_sha256": sha256,
                "pause_s": 0.05,
                **changes,
            }
        )
        (tmp_path / "noxfvr" / "boot.py").write_bytes(second_script(plan))
        environment = {
            "PATH": path or f"{tmp_path / 'bin'}:{VENV_BIN}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "CONTAINER_API_KEY": KEY,
            **(env or {}),
        }
        machine = Machine(tmp_path / "noxfvr", [sys.executable, "boot.py"], environment)
        machine.start()
        try:
            machine.code = machine.wait(timeout)
        finally:
            machine.kill()
        assert not re.search(rf"{KEY}|{SIGNATURE}|://|Traceback", machine.output)
        assert not re.search(rf"{KEY}|{SIGNATURE}|://", json.dumps(world.reports))
        for report in world.reports:
            from_json(Boot, json.dumps(report))
        return machine

    return prepare


@pytest.fixture
def program(tmp_path):
    """Puts a shell script on the machine's PATH."""

    def write(name, text):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
        return path

    return write


def runs(tmp_path):
    path = tmp_path / "runs"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refusal(world):
    """Reason and detail of the last report, which must be a failure."""
    report = world.reports[-1]
    assert report["phase"] == "failed"
    return report["reason"], report["detail"]


def test_a_machine_reports_every_phase_and_hands_its_runner_what_it_needs(
    world, prepared, tmp_path
):
    machine = prepared()
    assert machine.code == 0
    assert world.phases == ["checking", "installing", "testing", "starting"]
    assert world.reports[-1] == {"version": 1, "phase": "starting", "device": "a card"}
    (run,) = runs(tmp_path)
    assert run["arguments"] == [world.url("orders")]
    assert run["env"]["NOXFVR_DEADLINE_AT"] == "1893456000.5"
    assert run["env"]["PYTHONUNBUFFERED"] == "1"
    assert run["env"]["NOXFVR_MODELS_DIR"].endswith("/data/models")
    assert run["env"]["NOXFVR_WORK_DIR"] == str(tmp_path / "noxfvr" / "work")
    assert KEY not in run["env"].values()


@pytest.mark.parametrize(
    ("codes", "started", "code"),
    [
        ([-9, -11, 0], 3, 0),
        ([-9], 4, -9),
        ([1], 1, 1),
        ([3], 1, 3),
        ([143], 1, 143),
    ],
)
def test_a_runner_that_was_killed_is_started_again_and_one_that_ends_is_not(
    prepared, tmp_path, codes, started, code
):
    (tmp_path / "codes").write_text(json.dumps(codes))
    machine = prepared()
    # every start found the working folder empty, or the runner would have failed with 1
    assert (len(runs(tmp_path)), machine.code) == (started, code % 256 if code < 0 else code)


def test_what_is_there_is_not_fetched_again_and_what_is_half_there_is_replaced(
    world, prepared, tmp_path
):
    (tmp_path / "noxfvr" / "runner.part").mkdir()
    (tmp_path / "noxfvr" / "runner.part" / "rest").write_text("half")
    for _ in range(2):
        assert prepared().code == 0
    assert world.count("GET", "bundle") == 1
    assert not list((tmp_path / "noxfvr").glob("**/rest"))
    assert len(runs(tmp_path)) == 2


def test_a_bundle_with_another_hash_is_not_used(world, prepared, tmp_path):
    assert prepared(bundle_sha256="0" * 64).code == 1
    reason, detail = refusal(world)
    assert reason == Reason.INSTALL_FAILED and "another sha256" in detail
    assert not runs(tmp_path) and not list((tmp_path / "noxfvr").glob("runner-*"))


def test_a_bundle_that_leads_out_of_its_folder_is_not_used(world, prepared, tmp_path):
    world.objects["bundle"], sha256 = pack({"../../evil": "x", "remote_runner/__main__.py": ""})
    assert prepared(bundle_sha256=sha256).code == 1
    assert refusal(world) == (Reason.INSTALL_FAILED, "the bundle: OutsideDestinationError")
    assert not list(tmp_path.glob("**/evil"))


def test_a_bundle_without_a_runner_and_one_that_is_not_there_are_said(world, prepared):
    world.objects["bundle"], sha256 = pack({"README": "x"})
    prepared(bundle_sha256=sha256)
    assert refusal(world) == (
        Reason.INSTALL_FAILED,
        "there is no runner in what was fetched",
    )
    del world.objects["bundle"]
    prepared()
    assert refusal(world) == (Reason.INSTALL_FAILED, "storage: HTTP 404")
    assert world.count("GET", "bundle") == 1 + boot.TRIES


def test_storage_that_fails_now_and_then_is_asked_again(world, prepared, tmp_path):
    world.failures["GET", "bundle"] = [503, "drop"]
    world.failures["PUT", "boot"] = [500, "drop", 403]
    assert prepared().code == 0
    assert world.phases == ["checking", "installing", "testing", "starting"]
    assert len(runs(tmp_path)) == 1


def test_reports_that_are_lost_stop_nothing(world, prepared, tmp_path):
    world.refusing["PUT", "boot"] = 403
    assert prepared().code == 0
    assert not world.reports and len(runs(tmp_path)) == 1


# --- the driver ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "changes", "reason", "said"),
    [
        (f"echo '{CARD}'", {"highest_capability": 9.0}, "device_unsupported", "12.0"),
        ("echo 'Tesla P40, 6.1, 24576'", {"lowest_capability": 7.5}, "device_unsupported", "6.1"),
        (f"echo '{CARD}'", {"min_gpu_memory_bytes": 17 << 30}, "device_too_small", "17103323136"),
        ("echo 'No devices were found'; exit 6", {}, "no_device", "exit code 6, No devices"),
        ("echo 'a card, [N/A], 4096'", {}, "no_device", "[N/A]"),
        ("true", {}, "no_device", "exit code 0"),
    ],
)
def test_a_card_that_will_not_do_is_refused_before_anything_is_installed(
    world, prepared, program, tmp_path, answer, changes, reason, said
):
    program("nvidia-smi", answer)
    limits = {"lowest_capability": 5.0, "highest_capability": 12.0}
    assert prepared(device="cuda", **{**limits, **changes}).code == 1
    found, detail = refusal(world)
    assert found == reason and said in detail
    assert world.phases == ["checking", "failed"] and not runs(tmp_path)


def test_a_card_within_the_limits_goes_on(world, prepared, program, tmp_path):
    program("nvidia-smi", f"echo '{CARD}'; echo 'another one, 6.1, 100'")
    changes = {"lowest_capability": 7.5, "highest_capability": 12.0}
    assert prepared(device="cuda", min_gpu_memory_bytes=16 << 30 >> 1, **changes).code == 0
    assert world.phases[-1] == "starting" and len(runs(tmp_path)) == 1


def test_a_machine_without_a_driver_has_no_device(world, prepared, tmp_path):
    assert prepared(device="cuda", path=str(tmp_path / "bin")).code == 1
    assert refusal(world) == (
        Reason.NO_DEVICE,
        "nvidia-smi: exit code 127, No such file or directory",
    )


@pytest.mark.slow
def test_a_driver_that_hangs_is_given_up_within_eleven_seconds(world, prepared, program):
    program("nvidia-smi", "sleep 20")
    started = time.monotonic()
    assert prepared(device="cuda").code == 1
    assert time.monotonic() - started < 11
    assert refusal(world) == (Reason.NO_DEVICE, "nvidia-smi: no end after 10 s")


# --- installing ------------------------------------------------------------------------------

#: What installers put into site-packages, so that the package counts as installed.
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


@pytest.fixture
def repository(tmp_path):
    """A repository and its first commit, which has the runner; the second one has lost it."""
    folder = tmp_path / "repository"
    (folder / "remote_runner").mkdir(parents=True)
    (folder / "remote_runner" / "__main__.py").write_text(RUNNER)
    git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", folder], check=True)
    commits = []
    for _ in range(2):
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        commits.append(done.stdout.decode().strip())
        (folder / "remote_runner" / "__main__.py").unlink(missing_ok=True)
    return folder.as_uri(), commits


def test_a_repository_is_fetched_once_at_its_fixed_commit(prepared, tmp_path, repository):
    url, (first, _) = repository
    source = {"bundle_url": "", "bundle_sha256": "", "git_url": url, "git_ref": first}
    assert prepared(**source).code == 0
    (tmp_path / "repository").rename(tmp_path / "gone")
    assert prepared(**source).code == 0
    assert len(runs(tmp_path)) == 2


def test_a_repository_that_will_not_do_is_refused_without_its_address(world, prepared, repository):
    url, (_, second) = repository
    secret = f"http://user:{SIGNATURE}@127.0.0.1:{world.api_url.rsplit(':', 1)[1]}/repo"
    for git_url, git_ref, said in (
        (url, second, "no runner"),
        (url, "f" * 40, "git: exit code 128"),
        (secret, "main", "git: exit code 128"),
    ):
        source = {"bundle_url": "", "bundle_sha256": "", "git_url": git_url, "git_ref": git_ref}
        assert prepared(**source).code == 1
        reason, detail = refusal(world)
        assert reason == Reason.INSTALL_FAILED and said in detail


def test_git_is_installed_where_the_image_has_none(prepared, program, tmp_path, repository):
    git = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout
    program(
        "apt-get",
        f"echo $DEBIAN_FRONTEND $* >> {tmp_path}/asked\n"
        f"[ $1 = update ] || /usr/bin/ln -s {git.strip()} {tmp_path}/bin/git",
    )
    url, (first, _) = repository
    source = {"bundle_url": "", "bundle_sha256": "", "git_url": url, "git_ref": first}
    assert prepared(path=str(tmp_path / "bin"), **source).code == 0
    assert (tmp_path / "asked").read_text().splitlines() == [
        "noninteractive update",
        "noninteractive install --yes --no-install-recommends git ca-certificates",
    ]


# --- the kernel test -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "reason", "said"),
    [
        (
            'print(\'{"error": {"reason": "device_unsupported", "detail": "no kernel image"}}\')'
            "\nsys.exit(1)",
            "device_unsupported",
            "no kernel image",
        ),
        ("os.kill(os.getpid(), 11)", "no_device", "kernel test: killed by signal 11"),
        (
            "raise ImportError('libcudart.so.12: cannot open shared object file')",
            "install_failed",
            "kernel test: exit code 1, ImportError: libcudart.so.12",
        ),
        ("print('{}')\nsys.exit(0)", "install_failed", "kernel test: exit code 0, {}"),
    ],
)
def test_a_device_on_which_kernels_fail_is_refused(
    world, prepared, tmp_path, device, reason, said
):
    (tmp_path / "device").write_text(device)
    assert prepared().code == 1
    found, detail = refusal(world)
    assert found == reason and detail.startswith(said)
    assert world.phases == ["checking", "installing", "testing", "failed"]
    assert not runs(tmp_path)


def test_a_gpu_machine_never_falls_back_to_its_processor(world, prepared, program):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    program("nvidia-smi", f"echo '{CARD}'")
    bundle = build_bundle()
    world.objects["bundle"] = bundle.data
    machine = prepared(device="cuda", bundle_sha256=bundle.sha256)
    assert machine.code == 1
    assert refusal(world) == (Reason.NO_DEVICE, "this machine has no CUDA device")
    assert "Remote Runner" not in machine.output


# --- what the file says ----------------------------------------------------------------------


def test_the_script_uses_the_words_of_the_protocol_and_the_keys_of_the_plan():
    source = (files("remote_runner") / "boot.py").read_text()
    reasons = set(re.findall(r'Refused\(\s*"(\w+)"', source))
    reasons |= set(re.findall(r'(?:reason = |else )"(\w+_\w+|internal)"', source))
    assert {"no_device", "install_failed", "disk_full", "internal"} <= reasons
    assert reasons <= set(Reason)
    assert set(re.findall(r'tell\(plan, "(\w+)"', source)) == set(BootPhase) - {"armed"}
    keys = set(re.findall(r"""plan\[["'](\w+)["']\]""", source))
    assert keys == {field.name for field in dataclasses.fields(BootPlan)} | {"version"}


def test_the_script_stands_alone():
    source = (files("remote_runner") / "boot.py").read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported <= sys.stdlib_module_names | {"__future__"}

import dataclasses
import json
import re
import subprocess
import sys
import time
from importlib.resources import files

import pytest

from controller.bootstrap import BootPlan, build_bundle
from remote_runner import boot
from remote_runner.protocol import BootPhase, Reason
from tests.controller.machine_world import (
    KEY,
    SIGNATURE,
    pack,
)
from tests.runner.boot.conftest import CARD, RUNNER, refusal, runs


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

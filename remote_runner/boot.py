"""What a rented machine does before its runner lives: check, install, fetch, prove, start.

This file travels alone, as text with a last line that calls :func:`main`: standard library only.
The watchdog that runs it ends the machine when this process ends, so that leaving is always safe,
and a container that is started again comes through here again: what is there is not fetched twice.
Nothing that is printed or reported may hold a URL or a key: logs of rented machines are public.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import importlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: Seconds for the driver to answer, for installing, for a clone, for the kernel test (which
#: reads all of PyTorch from a cold disk) and for one request.
DRIVER_S, INSTALL_S, CLONE_S, PROOF_S, REQUEST_S = 10.0, 900.0, 300.0, 300.0, 30.0
TRIES = 5
#: How often a runner that was killed or crashed is started again.
RESTARTS = 3

_PYTHON = (3, 11, 4)
"""The first 3.11 that can unpack safely (PEP 706)."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\s*>=\s*(\d+(?:\.\d+)*))?")
# The Python of an image may be marked as its system's own (PEP 668); here it is ours alone.
_INSTALLER = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "UV_BREAK_SYSTEM_PACKAGES": "1"}
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "GIT_TERMINAL_PROMPT": "0"}


class Refused(Exception):
    """This machine cannot do the work; ``reason`` is one of the runner's own."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def main(plan: dict[str, Any]) -> int:
    """Prepare the machine as planned and run its orders; 1 if it will not do, else the runner's.

    Works in the current folder.
    """
    os.environ.pop("CONTAINER_API_KEY", None)
    try:
        home = prepare(plan)
    except Refused as refused:
        tell(plan, "failed", reason=refused.reason, detail=refused.detail)
        return 1
    except Exception as error:  # the controller must hear of what nobody thought of, too
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        reason = "disk_full" if full else "internal"
        tell(plan, "failed", reason=reason, detail=type(error).__name__)
        return 1
    return run_orders(plan, home)


def prepare(plan: dict[str, Any]) -> Path:
    """Everything up to the start of the runner; the folder from which it runs."""
    tell(plan, "checking")
    check_python()
    if plan["device"] == "cuda":
        check_driver(plan)
    tell(plan, "installing")
    install(plan["requirements"])
    home = fetch_runner(plan)
    tell(plan, "testing")
    name = prove_device(plan, home)
    tell(plan, "starting", device=name)
    return home


def check_python() -> None:
    if sys.version_info[:3] < _PYTHON:
        needed, found = (".".join(map(str, each)) for each in (_PYTHON, sys.version_info[:3]))
        raise Refused("install_failed", f"Python {needed} is needed, the image has {found}")


def check_driver(plan: dict[str, Any]) -> None:
    """Ask the driver what the first card is; a driver that hangs is none."""
    query = ["--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    code, lines = call(["nvidia-smi", *query], DRIVER_S)
    if code != 0 or not lines:
        raise Refused("no_device", f"nvidia-smi: {why(code, lines, DRIVER_S)}")
    try:
        name, capability, mebibytes = (part.strip() for part in lines[0].rsplit(",", 2))
        version, memory = float(capability), int(mebibytes) << 20
    except ValueError:
        raise Refused("no_device", f"nvidia-smi says {lines[0]!r}") from None
    lowest, highest = plan["lowest_capability"], plan["highest_capability"]
    if not (lowest or 0.0) <= version <= (highest or version):
        raise Refused(
            "device_unsupported",
            f"{name} has compute capability {version}, the image {lowest} to {highest}",
        )
    needed = plan["min_gpu_memory_bytes"]
    if memory < needed:
        raise Refused(
            "device_too_small", f"{name} has {memory} bytes of memory, {needed} are needed"
        )
    say(f"{name}, compute capability {version}, {mebibytes} MiB")


def install(requirements: list[str]) -> None:
    """Install what the image lacks, with uv where there is one, else with pip."""
    missing = [text for text in requirements if not is_met(text)]
    if not missing:
        return
    say(f"installing {', '.join(missing)}")
    uv = shutil.which("uv")
    command = (
        [uv, "pip", "install", "--python", sys.executable]
        if uv
        else [sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    )
    code, lines = call([*command, *missing], INSTALL_S, env={**os.environ, **_INSTALLER})
    require_success("install", code, lines, INSTALL_S)
    importlib.invalidate_caches()
    missing = [text for text in missing if not is_met(text)]
    if missing:
        raise Refused("install_failed", f"still missing: {', '.join(missing)}")


def is_met(requirement: str) -> bool:
    """Whether a requirement of the form ``name`` or ``name>=1.2`` is installed."""
    found = _REQUIREMENT.fullmatch(requirement.strip())
    if found is None:
        raise Refused("install_failed", f"{requirement!r} is not understood")
    try:
        version = importlib.metadata.version(found[1])
    except importlib.metadata.PackageNotFoundError:
        return False
    return _numbers(version) >= _numbers(found[2] or "0")


def fetch_runner(plan: dict[str, Any]) -> Path:
    """The runner's folder, from the bundle or the repository; it appears whole or not at all."""
    source = (
        plan["bundle_sha256"]
        or hashlib.sha256(f"{plan['git_url']} {plan['git_ref']}".encode()).hexdigest()
    )
    home = Path.cwd() / f"runner-{source[:12]}"
    if home.is_dir():
        say("the runner is there")
        return home
    part = Path.cwd() / "runner.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if plan["bundle_sha256"]:
        unpack(download(plan["bundle_url"], plan["pause_s"]), plan["bundle_sha256"], part)
    else:
        clone(plan["git_url"], plan["git_ref"], part)
    if not (part / "remote_runner" / "__main__.py").is_file():
        raise Refused("install_failed", "there is no runner in what was fetched")
    return part.rename(home)


def unpack(bundle: bytes, sha256: str, folder: Path) -> None:
    """A tar.gz whose hash is right, without anything that leads out of the folder."""
    if hashlib.sha256(bundle).hexdigest() != sha256:
        raise Refused("install_failed", f"the bundle of {len(bundle)} bytes has another sha256")
    try:
        with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:gz") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise Refused("install_failed", f"the bundle: {type(error).__name__}") from None


def clone(url: str, ref: str, folder: Path) -> None:
    """One commit of a repository; git itself is installed where it is missing."""
    git = ["git", "-C", str(folder)]
    steps = [
        [*git, "init", "--quiet"],
        [*git, "fetch", "--quiet", "--depth", "1", url, ref],
        [*git, "checkout", "--quiet", "FETCH_HEAD"],
    ]
    if shutil.which("git") is None:
        say("installing git")
        packages = ["install", "--yes", "--no-install-recommends", "git", "ca-certificates"]
        steps = [["apt-get", "update"], ["apt-get", *packages], *steps]
    for step in steps:
        code, lines = call(step, CLONE_S, env={**os.environ, **_QUIET})
        require_success(step[0], code, lines, CLONE_S)


def prove_device(plan: dict[str, Any], home: Path) -> str:
    """Run kernels on the real device, in a process of their own; the device's name."""
    command = [sys.executable, "-m", "remote_runner", "device", "--json"]
    command += ["--device", plan["device"], "--min-memory", str(plan["min_gpu_memory_bytes"])]
    code, lines = call(command, PROOF_S, cwd=home, env=runner_environment(plan, home))
    answer = _last_object(lines)
    if code == 0 and "device" in answer:
        return str(answer["device"])
    if "error" in answer:
        raise Refused(answer["error"]["reason"], answer["error"]["detail"])
    # what dies or hangs on its device has none; what cannot even start was not installed well
    reason = "no_device" if code is None or code < 0 else "install_failed"
    raise Refused(reason, f"kernel test: {why(code, lines, PROOF_S)}")


def run_orders(plan: dict[str, Any], home: Path) -> int:
    """Follow orders until the runner wants to end; one that is killed is started again."""
    command = [sys.executable, "-m", "remote_runner", plan["orders_url"]]
    env = runner_environment(plan, home)
    for restart in range(RESTARTS + 1):
        # what a killed runner left would fill the disk
        shutil.rmtree(env["NOXFVR_WORK_DIR"], ignore_errors=True)
        code = subprocess.call(command, stdin=subprocess.DEVNULL, cwd=home, env=env)
        say(f"the runner ended: {why(code, [], 0.0)}")
        if code >= 0:
            break
        if restart < RESTARTS:
            time.sleep(plan["pause_s"])
    return code


def runner_environment(plan: dict[str, Any], home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "NOXFVR_DEADLINE_AT": str(plan["deadline_at"]),
        "NOXFVR_WORK_DIR": str(Path.cwd() / "work"),
        "NOXFVR_MODELS_DIR": str(home / plan["models_dir"]),
        "PYTHONUNBUFFERED": "1",
    }


def tell(plan: dict[str, Any], phase: str, **facts: str) -> None:
    """Report a phase to storage; a report that is lost is no reason to stop."""
    facts = {name: harmless(text) for name, text in facts.items()}
    say(": ".join([phase, *facts.values()]))
    document = json.dumps({"version": plan["version"], "phase": phase, **facts})
    request = urllib.request.Request(  # noqa: S310 - the controller made the URL
        plan["boot_url"],
        data=document.encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    try:
        _ask(request, plan["pause_s"])
    except Refused as refused:
        say(f"report: {refused.detail}")


def download(url: str, pause_s: float) -> bytes:
    return _ask(urllib.request.Request(url), pause_s)  # noqa: S310 - the controller made the URL


def call(
    command: list[str],
    limit_s: float,
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> tuple[int | None, list[str]]:
    """Run a command: its exit code, none where it took too long, and the lines it printed."""
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
            )
        except OSError as error:
            return 127, [error.strerror or type(error).__name__]
        code: int | None
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            child.kill()  # not waited for: a process that hangs in a driver cannot be killed
            code = None
        output.seek(0)
        text = output.read().decode(errors="replace")
    return code, [line.strip() for line in text.splitlines() if line.strip()]


def require_success(what: str, code: int | None, lines: list[str], limit_s: float) -> None:
    if code == 0:
        return
    for line in lines[-5:]:
        say(f"{what}: {harmless(line)}")
    full = any("No space left on device" in line for line in lines)
    reason = "disk_full" if full else "install_failed"
    raise Refused(reason, f"{what}: {why(code, lines, limit_s)}")


def why(code: int | None, lines: list[str], limit_s: float) -> str:
    """How a command ended and its last words, for people."""
    if code is None:
        return f"no end after {limit_s:.0f} s"
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{ended}, {lines[-1]}" if lines else ended


def harmless(text: str) -> str:
    """One line without URLs, which can hold signatures and passwords."""
    return " ".join(re.sub(r"\S*://\S*", "(URL)", text).split())[:300]


def say(line: str) -> None:
    sys.stdout.write(f"[BOOT] {harmless(line)}\n")
    sys.stdout.flush()


def _ask(request: urllib.request.Request, pause_s: float) -> bytes:
    """The body of an answer; :class:`Refused` after several tries."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause_s)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            what = f"HTTP {error.code}"
            error.close()
        except (OSError, http.client.HTTPException) as error:
            what = type(getattr(error, "reason", error)).__name__
        say(f"storage: {what}, attempt {attempt + 1} of {TRIES}")
    raise Refused("install_failed", f"storage: {what}")


def _numbers(version: str) -> list[int]:
    """The leading release numbers, without zeros at the end: ``2.11.0+cu128`` is 2, 11."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _last_object(lines: list[str]) -> dict[str, Any]:
    for line in reversed(lines):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
    return {}

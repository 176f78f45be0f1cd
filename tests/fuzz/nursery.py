"""The runner's command line in children of a process that has imported it once.

Importing PyTorch takes longer than working on a tiny video. ``python -m tests.fuzz.nursery``
imports, reads a line of JSON for each command, and forks: what a child does to itself (limits,
signals, a crash) is gone with it.
"""

import faulthandler
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

#: When a child is ended, whatever it does. Seconds of wall time: others may use the machine.
KILL_S = 60.0
_MOST = 1 << 20
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended; a negative code is a signal."""

    code: int
    out: str
    err: str
    cpu_s: float


class Nursery:
    """A context; one command at a time."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> "Nursery":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.nursery", *self._modules], cwd=_ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            # a process that is forked has one thread; those of its children sleep while they wait,
            # since beside other processes they would spin for seconds
            env={
                **os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "passive",
            },
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def run(self, *arguments: str | Path) -> Ended:
        """``python -m remote_runner`` with these arguments."""
        self._process.stdin.write(json.dumps([str(each) for each in arguments]) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


def main() -> None:
    for name in sys.argv[1:]:
        __import__(name)
    from remote_runner.__main__ import main as command

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(_carry_out(command, json.loads(line))) + "\n")
        answers.flush()


def _carry_out(command, arguments: list[str]) -> dict:
    pipes = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _be_born(command, arguments, pipes)
    for _, write in pipes:
        os.close(write)
    try:
        out, err = _listen([read for read, _ in pipes], child)
    finally:
        for read, _ in pipes:
            os.close(read)
    _, status, used = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status), "out": out, "err": err,
        "cpu_s": used.ru_utime + used.ru_stime,
    }  # fmt: skip


def _be_born(command, arguments: list[str], pipes) -> None:
    """In the child; does not return."""
    code = 70
    try:
        os.setsid()
        for number, (_, write) in zip((1, 2), pipes, strict=True):
            os.dup2(write, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.closerange(3, 64)
        faulthandler.dump_traceback_later(KILL_S - 5, file=2)  # where it hangs
        code = command(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _listen(reads: list[int], child: int) -> tuple[str, str]:
    """Both streams to their ends; a child that goes on too long is killed."""
    found = dict.fromkeys(reads, b"")
    until_s = time.monotonic() + KILL_S
    with selectors.DefaultSelector() as selector:
        for each in reads:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until_s - time.monotonic()))
            if not ready:
                os.killpg(child, signal.SIGKILL)
                until_s = time.monotonic() + KILL_S
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                found[key.fd] = (found[key.fd] + data)[-_MOST:]
                if not data:
                    selector.unregister(key.fd)
    return tuple(found[each].decode("utf-8", "replace") for each in reads)


if __name__ == "__main__":
    main()

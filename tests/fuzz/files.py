"""Video files that are broken, hostile or something else, into the runner's commands.

Each is answered by facts that can be true or, for the whole work, by an output that passes the
gate; or else by a reason of the protocol and exit code 1. Nothing is left but the file and that
output.
"""

import json
import math
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from remote_runner.protocol import Facts, Reason, from_json
from remote_runner.video.probe import HIGHEST_FPS, MOST_FRAMES
from remote_runner.video.source import MAX_PIXELS, MAX_SIDE
from tests.fuzz.containers import damage
from tests.fuzz.nursery import KILL_S, Ended, Nursery
from tests.fuzz.originals import CLIPS, ORIGINAL_FRAMES, make_originals, make_stranger
from tests.fuzz.tally import Case, Kind, Tally

#: As the controller asks with its default settings.
LIMITS = ("--max-bytes", str(20 * 10**9), "--max-seconds", str(240 * 60))
_ROOT = Path(__file__).parents[2]
#: Parts of whatever comes behind its end change nothing that such a file is.
_TAIL_IS_NOTHING = ("plain.mp4", "texts.mp4", "turned.mov")
#: What is good and refused all the same: it is in no list of what is taken.
_NOT_TAKEN = ("moving.apng",)


class Source:
    """Makes files by their numbers, each in a folder of its own below one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._originals = make_originals(folder)

    def make(self, case: Case) -> tuple[Path, str]:
        """A file, and the name of the original that it must be taken for; empty where it may be
        anything."""
        rng = case.rng
        sort = rng.random()
        name = rng.choice(sorted(self._originals))
        data, told, same = self._originals[name], "as it is", ""
        if sort < 0.08:
            name, data = make_stranger(rng)
            told = "no video"
        elif sort < 0.12:
            same = "" if name in _NOT_TAKEN else name
        elif sort < 0.15:
            name = same = rng.choice(_TAIL_IS_NOTHING)
            data = self._originals[name] + b"\x00\x00\x00\x10free" + rng.randbytes(8)
            told = "with a tail"
        elif sort < 0.20:
            other = rng.choice(sorted(self._originals))
            data, told = data + self._originals[other], f"followed by {other}"
        elif sort < 0.24:
            data, told = data[: rng.randrange(len(data))], "cut anywhere"
        else:
            data, told = damage(data, rng)
        if rng.random() < 0.1:
            name = f"{name}.{rng.choice(('mp4', 'mkv', 'gif', 'txt'))}"
        path = self._folder / str(case.number) / name
        path.parent.mkdir()
        path.write_bytes(data)
        case.told = f"{name} {told}, {len(data)} bytes"
        return path, same


def run_probe(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    with Nursery("remote_runner.video.probe", "remote_runner.limits") as nursery:
        source = Source(folder)
        for number in numbers:
            with tally.case(number) as case:
                path, same = source.make(case)
                ended = nursery.run("probe", path, "--json", *LIMITS)
                case.seconds = ended.cpu_s
                judge_probe(case, ended)
                check_left(path)
                if same:
                    check_original(same, ended.out)


def run_command(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    """The command that the controller starts, in a process of its own."""
    source = Source(folder)
    for number in numbers:
        with tally.case(number) as case:
            path, same = source.make(case)
            before_s = cpu_of_children_s()
            done = subprocess.run(
                [sys.executable, "-m", "remote_runner", "probe", str(path), "--json", *LIMITS],
                cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=KILL_S,
                check=False,
            )  # fmt: skip
            case.seconds = cpu_of_children_s() - before_s
            out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
            judge_probe(case, Ended(code=done.returncode, out=out, err=err, cpu_s=case.seconds))
            check_left(path)
            if same:
                check_original(same, out)


def run_process(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    """All of the work: what comes out is looked at by the gate once more."""
    heavy = ("remote_runner.local", "remote_runner.plan", "remote_runner.video.verify")
    with Nursery(*heavy) as nursery:
        source = Source(folder)
        for number in numbers:
            with tally.case(number) as case:
                path, same = source.make(case)
                wish, suffix = choose_work(case)
                output = path.with_name(f"output{suffix}")
                ended = nursery.run(
                    "process", path, output, "--device", "cpu", "--model", "starter", *wish
                )
                case.told += f", {' '.join(wish)} into {suffix}"
                case.seconds = ended.cpu_s
                judge_work(case, ended, nursery, path)
                check_left(path)
                assert case.right or not same, f"a good film was refused: {case.reason}"


def choose_work(case: Case) -> tuple[tuple[str, ...], str]:
    wishes = (
        ("--scale", "2"), ("--scale", "2"), ("--fps", "60"), ("--size", "96x96"),
        ("--scale", "2", "--fps", "50"), ("--scale", "2", "--segment", "0.1"),
    )  # fmt: skip
    return case.rng.choice(wishes), case.rng.choice((".mp4", ".mp4", ".mkv", ".mov"))


def cpu_of_children_s() -> float:
    """Of processor time, as others use the machine as well; of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judge_probe(case: Case, ended: Ended) -> None:
    assert "Traceback" not in ended.err, ended.err
    assert ended.code in (0, 1), f"exit {ended.code}: {ended.err[-4000:]}"
    (line,) = ended.out.splitlines()
    answer = json.loads(line)
    assert set(answer) == ({"facts", "guards"} if ended.code == 0 else {"error"}), line
    if ended.code == 0:
        facts = from_json(Facts, json.dumps(answer["facts"]))
        check_sane(facts)
        case.accept()
        return
    reason = Reason(answer["error"]["reason"])
    assert reason.is_input_fault, line
    assert answer["error"]["detail"], "no detail"
    case.refuse(reason)


def judge_work(case: Case, ended: Ended, nursery: Nursery, path: Path) -> None:
    assert "Traceback" not in ended.err + ended.out, ended.err
    assert ended.code in (0, 1), f"exit {ended.code}: {ended.err[-4000:]}"
    # its container may be another one than was asked for
    outputs = [each for each in path.parent.iterdir() if each.name.startswith("output")]
    if ended.code == 1:
        assert not outputs, f"a part of an output was left: {outputs}"
        forget_segments(path.parent)
        reason = reason_in(ended.err)
        # any other would be tried again on another machine, and this one be blamed
        assert reason.is_input_fault, ended.err
        case.refuse(reason)
        return
    (output,) = outputs
    verdict = nursery.run("verify", path, output, "--json")
    assert verdict.code == 0, f"the gate: {verdict.out} {verdict.err}"
    probed = nursery.run("probe", output, "--json")
    assert probed.code == 0, probed.out
    check_sane(from_json(Facts, json.dumps(json.loads(probed.out)["facts"])))
    output.unlink()
    case.accept()


def forget_segments(folder: Path) -> None:
    """What a next run would go on behind: whole segments, each with its manifest."""
    for store in folder.glob(".output.*.segments"):
        left = {each.name for each in store.iterdir()} - {"lock"}
        contents = {name for name in left if name.endswith(".nut")}
        assert left - contents >= {f"{name[:-4]}.json" for name in contents}, left
        assert all(name.endswith((".nut", ".json")) for name in left), left
        shutil.rmtree(store)


def reason_in(err: str) -> Reason:
    """The last line of what a command says when it fails."""
    reason, _, detail = err.strip().splitlines()[-1].partition(": ")
    assert detail, err
    return Reason(reason)


def check_sane(facts: Facts) -> None:
    """What no facts may say, whatever the file holds."""
    assert min(facts.width, facts.height) > 0, facts
    assert max(facts.width, facts.height) <= MAX_SIDE, facts
    assert facts.width * facts.height <= MAX_PIXELS, facts
    assert 0 < facts.frames <= MOST_FRAMES, facts
    assert 0 < facts.duration_s <= 241 * 60, facts
    assert math.isfinite(facts.duration_s), facts
    assert 0 < Fraction(facts.fps) <= HIGHEST_FPS, facts
    assert facts.rotation in (0, 90, 180, 270), facts
    assert facts.bit_depth > 0, facts
    assert Fraction(facts.sar.replace(":", "/")) > 0, facts


def check_original(name: str, answer: str) -> None:
    """What is good, or has parts behind its end that mean nothing, is taken for what it is."""
    facts = json.loads(answer)["facts"]
    wanted = {"width": 64, "height": 48, "count": ORIGINAL_FRAMES, "rotation": 0} | CLIPS[name]
    size = wanted["width"], wanted["height"]
    size = size[::-1] if wanted["rotation"] % 180 else size
    assert (facts["width"], facts["height"]) == size, facts
    assert facts["frames"] == wanted["count"], facts


def check_left(path: Path) -> None:
    """The file is alone in its folder."""
    left = sorted(each.name for each in path.parent.iterdir() if each != path)
    assert not left, f"left behind: {left}"


KINDS = (
    Kind(name="probe", count=1000, quick=12, run=run_probe, parts=2, must_accept=0.3,
         must_refuse=0.2),
    Kind(name="command", count=100, quick=0, run=run_command, must_accept=0.2, must_refuse=0.2),
    Kind(name="process", count=160, quick=0, run=run_process, parts=2, must_accept=0.2,
         must_refuse=0.2),
)  # fmt: skip

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mutants.copies import take_snapshot
from tests.mutants.hunt import Unsound, open_hunt
from tests.mutants.mutant import Mutant, Promise
from tests.mutants.trial import run_tests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
SUMS = """\
def add(a, b):
    return a + b


def halve(a):
    return a / 2
"""
TESTS = """\
from controller.sums import add, halve


def test_add():
    assert add(2, 2) == 4


def test_sign():
    assert add(-1, 2) == 1


def test_halve():
    assert halve(4)
"""


def make_mutant(name, old, new, *, tests=("tests/test_sums.py::test_add",)):
    return Mutant(
        name=name, breaks="", promise=Promise.ENDS, path="controller/sums.py", swaps=((old, new),),
        tests=tests,
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """A small house, whose packages have the names of the large one's."""
    root = tmp_path / "house"
    for package in ("bot", "controller", "remote_runner", "tests", "tests/mutants"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").touch()
    shutil.copy(HERE / "witness.py", root / "tests" / "mutants")
    (root / "controller" / "sums.py").write_text(SUMS)
    (root / "tests" / "test_sums.py").write_text(TESTS)
    (root / ".gitignore").write_text("__pycache__/\n*.db\n")
    (root / "money.db").touch()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def test_each_bug_has_its_verdict_and_the_tree_stays_as_it_was(tree):
    mutants = [
        make_mutant("caught", "a + b", "a + b + 1"),
        make_mutant("caught by another", "a + b", "abs(a) + b"),
        make_mutant("survives", "a / 2", "a / 4"),
        make_mutant("dies", "def halve(a):", "def halve(a:"),
    ]
    said = []
    with open_hunt(tree, jobs=2) as hunt:
        hunt.check_soundness(mutants)
        verdicts = hunt.follow(mutants, said.append)
    assert [(each.caught_by, each.named, bool(each.trouble)) for each in verdicts] == [
        ("tests/test_sums.py::test_add", True, False),
        ("tests/test_sums.py::test_sign", False, False),
        ("", False, False),
        ("", False, True),
    ]
    assert {each.mutant.name for each in said} == {mutant.name for mutant in mutants}
    assert (tree / "controller" / "sums.py").read_text() == SUMS


def test_a_test_that_fails_anyway_catches_nothing(tree):
    failing = TESTS.replace("== 4", "== 5")
    (tree / "tests" / "test_sums.py").write_text(failing)
    named = make_mutant("named", "a + b", "a + b + 1")
    other = make_mutant("other", "a / 2", "a / 4", tests=("tests/test_sums.py::test_halve",))
    with open_hunt(tree, jobs=1) as hunt:
        with pytest.raises(Unsound, match="test_add"):
            hunt.check_soundness([named])
        hunt.check_soundness([other])
        (verdict,) = hunt.follow([other], lambda _: None)
    assert (verdict.caught_by, verdict.trouble) == ("", "")


def test_a_run_of_other_code_than_the_copys_is_none(tree, tmp_path):
    copy = tmp_path / "copy"
    take_snapshot(tree, copy)
    assert not (copy / "money.db").exists()
    assert run_tests(copy, ["tests/test_sums.py"], limit_s=300).passed
    shutil.rmtree(copy / "bot")  # the installed one takes its place
    trial = run_tests(copy, ["tests/test_sums.py"], limit_s=300)
    assert "which is not in" in trial.trouble
    assert not trial.failed

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.catalog import MUTANTS
from tests.mutants.mutant import Promise, StaleMutant

ROOT = Path(__file__).resolve().parents[2]
LEAST = 95
PAGE = (ROOT / "docs" / "mutants.md").read_text("utf-8")


@cache
def functions_of(file):
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in tree.body if isinstance(each, functions)}


def test_there_are_enough_and_each_has_a_name_of_its_own():
    names = Counter(mutant.name for mutant in MUTANTS)
    assert len(names) >= LEAST
    assert [name for name, count in names.items() if count > 1] == []
    assert {mutant.promise for mutant in MUTANTS} == set(Promise)


def test_what_they_replace_is_there_once_and_what_comes_is_something_else():
    for mutant in MUTANTS:
        text = (ROOT / mutant.path).read_text()
        assert mutant.change(text) != text, mutant.name


def test_the_tests_that_they_name_exist():
    for mutant in MUTANTS:
        assert mutant.tests, mutant.name
        for test in mutant.tests:
            file, _, function = test.partition("::")
            assert function.partition("[")[0] in functions_of(file) | {""}, test


def test_the_page_has_each_of_them_once_and_a_test_that_exists():
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    told = [(name.strip("`"), breaks, path.strip("`")) for name, breaks, path, _ in rows]
    assert sorted(told) == sorted((each.name, each.breaks, each.path) for each in MUTANTS)
    for name, _, _, noticed in rows:
        file, _, function = noticed.strip("`").partition("::")
        assert function.partition("[")[0] in functions_of(file) | {""}, (name, noticed)


def test_none_is_caught_for_its_spelling_alone(tmp_path):
    for number, mutant in enumerate(MUTANTS):
        (tmp_path / f"{number}.py").write_text(mutant.change((ROOT / mutant.path).read_text()))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_code_that_has_changed_is_told_from_code_that_is_as_it_was():
    mutant = MUTANTS[0]
    text = (ROOT / mutant.path).read_text()
    for changed in ("", text + text, mutant.change(text)):
        with pytest.raises(StaleMutant, match=mutant.name):
            mutant.change(changed)

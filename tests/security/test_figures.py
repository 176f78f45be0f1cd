"""What ``docs/reliability.md`` counts, and how it says to do it again, are those of the code."""

import importlib.util
import re
from collections import Counter

import pytest

from tests.chaos.harm import WAYS
from tests.fuzz.kinds import KINDS
from tests.mutants.catalog import MUTANTS
from tests.mutants.mutant import Promise
from tests.security.observed import ROOT
from tests.simulation import __main__ as simulation
from tests.simulation import coverage, invariants, test_seeds
from tests.simulation.faults import Fault
from tests.simulation.outside.account import _FOREIGN
from tests.stateful.test_house import WRONG

TEXT = (ROOT / "docs" / "reliability.md").read_text("utf-8")
#: Its lines as one, for what it says in sentences.
PROSE = " ".join(TEXT.split())
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
COMMANDS = [
    *re.findall(r"`([^`\n]*(?:python -m|make) [^`\n]*)`", TEXT),
    *(
        line
        for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
        for line in block.replace("\\\n", " ").splitlines()
    ),
]
_MOVES = len(list(coverage.list_moves())) - len(coverage.UNSEEN)
#: What may become of any call, which is told of before.
_OF_CALLS = ("_request_lost", "_answer_lost", "_in_flight")
_WORDS = {"three": 3, "sixty": 60, "twelve": 12}
#: What it says in words, and what the code has.
CLAIMS = {
    r"([\d,]+) pairs of a fault and a state, and": len(list(coverage.list_pairs())),
    r"and ([\d,]+) legal moves and beginnings": _MOVES,
    r"([\d,]+) seeds are part of `make test`,": test_seeds.QUICK.stop,
    r"`make test`, ([\d,]+) of `make test-all`": test_seeds.MORE.stop,
    r"From ([\d,]+) runs on,": simulation._ENOUGH,
    r"was met fewer than ([\d,]+) times": simulation._ENOUGH // coverage._RUNS_A_PAIR,
    r"was made fewer than ([\d,]+) times": simulation._ENOUGH // coverage._RUNS_A_MOVE,
    r"come to rest in ([\d,]+) minutes": invariants._REST_S / 60,
    r"there are some (\w+) faults": round(sum(not each.endswith(_OF_CALLS) for each in Fault), -1),
    r"has (\w+) instances of other people": len(_FOREIGN),
    r"`make mutants` plants ([\d,]+) bugs": len(MUTANTS),
    r"(\w+) of the bugs above are of this sort": sum(
        each.promise is Promise.HANDS_OFF for each in MUTANTS
    ),
    r"`tests/fuzz/` makes ([\d,]+) inputs": sum(kind.count for kind in KINDS),
    r"(\w+) programs that are wrong on purpose have to be found out, and jobs": len(WRONG),
    r"is killed in one of (\w+) ways": len(WAYS),
}


def rows(first_column):
    """Cells of the table whose heading begins so, without the heading; figures as numbers."""
    (table,) = re.findall(rf"^\| {first_column}.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", TEXT, re.M)
    found = [line.strip("|").split("|") for line in table.splitlines()]
    return [[read(cell.strip(" *")) for cell in row] for row in found]


def read(cell):
    """A figure, also with words behind a comma, as a number; all else as it is."""
    figure = re.fullmatch(r"(\d[\d,]*?)(, .*)?", cell)
    return int(figure[1].replace(",", "")) if figure else cell


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_it_counts_in_sentences_is_what_there_is(claim):
    (said,) = re.findall(claim, PROSE)
    number = _WORDS.get(said.lower()) or int(said.replace(",", ""))
    assert number == CLAIMS[claim]


def test_its_bugs_are_those_of_the_catalog_and_all_were_caught():
    *promises, (_, total, caught) = rows("what the bug threatens")
    counts = Counter(str(each.promise) for each in MUTANTS)
    assert {name: count for name, count, _ in promises} == counts
    assert all(count == seen for _, count, seen in promises)
    assert total == caught == len(MUTANTS)


def test_its_inputs_are_those_that_are_made_each_answered_in_one_of_two_ways():
    *kinds, total = rows("what is sent")
    assert {row[0].split("`")[1]: row[2] for row in kinds} == {k.name: k.count for k in KINDS}
    for _, _, count, right, refused, _ in [*kinds, total]:
        assert count == right + refused
    assert [sum(column) for column in zip(*(row[2:5] for row in kinds), strict=True)] == total[2:5]


def test_what_it_adds_up_of_both_shapes_is_their_sum():
    for what, local, rented, both in rows("seen in"):
        if both != "":
            assert local + rented == both, what


def test_its_commands_name_what_there_is():
    modules, targets = set(), set()
    for command in COMMANDS:
        for module in re.findall(r"-m (tests[\w.]*)", command):
            modules.add(module)
            spec = importlib.util.find_spec(f"{module}.__main__")
            assert spec is not None, command
            source = (ROOT / module.replace(".", "/") / "__main__.py").read_text("utf-8")
            for option in re.findall(r" (--[\w-]+)", command):
                assert f'"{option}"' in source, command
        for target in re.findall(r"make ([a-z-]+)", command):
            targets.add(target)
            assert re.search(rf"^{target}:", MAKEFILE, re.M), command
    assert modules >= {"tests.simulation", "tests.mutants", "tests.fuzz", "tests.chaos"}
    assert targets >= {"sim", "chaos", "mutants", "test-all"}


def test_what_its_commands_give_to_pytest_is_there():
    named = [path for command in COMMANDS for path in re.findall(r"tests/[\w/.{},]+", command)]
    paths = [path for each in named for path in expand(each)]
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path


def expand(path):
    """As a shell does it with one pair of braces."""
    head, brace, rest = path.partition("{")
    if not brace:
        return [path]
    inside, _, tail = rest.partition("}")
    return [f"{head}{each}{tail}" for each in inside.split(",")]


def test_what_make_does_by_its_name_is_what_it_says():
    (said,) = re.findall(r"^make chaos +# (.*)$", TEXT, re.M)
    (recipe,) = re.findall(r"^chaos:.*\n\t@\$\(BIN\)/(.*)$", MAKEFILE, re.M)
    assert said == recipe

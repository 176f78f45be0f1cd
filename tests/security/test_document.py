"""What ``docs/security.md`` claims, names code and tests that are there."""

import re

import pytest

from tests.security.observed import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
QUOTED = re.findall(r"`([^`\n]+)`", TEXT)
FOLDERS = ("tests", "bot", "controller", "remote_runner", "docs")


@pytest.fixture(scope="module")
def sources():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def test_every_test_it_names_is_there(sources):
    named = {each for each in QUOTED if re.fullmatch(r"(tests/.*/)?test_\w+(\.py)?", each)}
    assert len(named) > 40
    functions = {name for text in sources.values() for name in re.findall(r"def (test_\w+)", text)}
    files = set(sources) | {path.rpartition("/")[2] for path in sources}
    assert {each for each in named if each not in functions | files} == set()


def test_every_module_it_names_is_there_with_what_it_names_in_it(sources):
    named = {each for each in QUOTED if re.match(r"[\w/]+\.py(: |$)", each)}
    assert len(named) > 25
    for each in named:
        path, _, what = each.partition(": ")
        found = [text for name, text in sources.items() if f"/{name}".endswith(f"/{path}")]
        assert found, path
        for word in filter(None, what.split(", ")):
            assert any(re.search(rf"\b{word}\b", text) for text in found), each


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target

"""What pages claim, names code and tests that are there."""

import re

import pytest

from tests.security.observed import ROOT

#: Each with how many tests and modules it names at least.
PAGES = {"security.md": (40, 25), "reliability.md": (10, 2), "failure-modes.md": (25, 3)}
FOLDERS = ("tests", "bot", "controller", "remote_runner", "docs")


@pytest.fixture(scope="module")
def sources():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


@pytest.fixture
def text(page):
    return (ROOT / "docs" / page).read_text("utf-8")


@pytest.fixture
def quoted(text):
    return re.findall(r"`([^`\n]+)`", text)


def test_every_test_it_names_is_there(sources, page, quoted):
    named = {each for each in quoted if re.fullmatch(r"(tests/.*/)?test_\w+(\.py)?", each)}
    assert len(named) > PAGES[page][0]
    functions = {name for text in sources.values() for name in re.findall(r"def (test_\w+)", text)}
    files = set(sources) | {path.rpartition("/")[2] for path in sources}
    assert {each for each in named if each not in functions | files} == set()


def test_every_module_it_names_is_there_with_what_it_names_in_it(sources, page, quoted):
    named = {each for each in quoted if re.match(r"[\w/]+\.py(: |$)", each)}
    assert len(named) > PAGES[page][1]
    for each in named:
        path, _, what = each.partition(": ")
        found = [text for name, text in sources.items() if f"/{name}".endswith(f"/{path}")]
        assert found, path
        for word in filter(None, what.split(", ")):
            assert any(re.search(rf"\b{word}\b", text) for text in found), each


def test_every_folder_it_names_is_there(quoted):
    for each in quoted:
        if re.fullmatch(r"(tests|bot|controller|remote_runner)/[\w/]*", each):
            assert (ROOT / each).is_dir(), each


def test_its_links_lead_somewhere(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / "docs" / target).exists(), target

from tests.mutants.hunt import Verdict
from tests.mutants.mutant import Mutant, Promise
from tests.mutants.table import make_page


def make_verdict(name, promise, **came):
    mutant = Mutant(
        name=name, breaks="One | two.", promise=promise, path="bot/x.py", swaps=(), tests=()
    )
    return Verdict(mutant=mutant, seconds=1.0, **came)


def test_a_page_has_a_row_for_each_bug_by_its_promise_and_says_what_nobody_noticed():
    page = make_page([
        make_verdict("seen", Promise.ENDS, caught_by="tests/test_x.py::test_y[a|b]", named=True),
        make_verdict("unseen", Promise.GIVEN_BACK),
        make_verdict("endless", Promise.ENDS, trouble="no end in 300 s"),
    ])  # fmt: skip
    assert "1 of 3 bugs were noticed." in page
    lines = [line for line in page.splitlines() if line.startswith(("## ", "| `"))]
    assert lines == [
        f"## {Promise.GIVEN_BACK}",
        r"| `unseen` | One \| two. | `bot/x.py` | **nothing** |",
        f"## {Promise.ENDS}",
        r"| `seen` | One \| two. | `bot/x.py` | `tests/test_x.py::test_y[a\|b]` |",
        r"| `endless` | One \| two. | `bot/x.py` | **no verdict** |",
    ]

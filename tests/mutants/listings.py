"""Bugs by which an answer of the provider is taken for more than it says."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

LISTINGS = (
    Mutant(
        name="error-is-an-empty-listing",
        breaks="A listing that was not answered counts as one without machines.",
        promise=Promise.GIVEN_BACK,
        path="controller/providers/vast.py",
        swaps=(
            (
                'raise Unclear(f"no listing: {describe(answer)}")',
                'return {"instances": [], "total_instances": 0}',
            ),
        ),
        tests=(
            "tests/controller/vast/test_vast_listing.py::test_a_listing_that_may_lack_something_is_not_known",
        ),
    ),
    Mutant(
        name="429-is-an-empty-listing",
        breaks="A listing that was asked for too often counts as one without machines.",
        promise=Promise.GIVEN_BACK,
        path="controller/providers/vast.py",
        swaps=(
            (
                """\
        except RateLimited as error:
            raise Unclear(f"no listing: {error}") from error
""",
                """\
        except RateLimited:
            return {"instances": [], "total_instances": 0}
""",
            ),
        ),
        tests=(
            "tests/controller/vast/test_vast_listing.py::test_a_listing_that_may_lack_something_is_not_known",
        ),
    ),
    Mutant(
        name="missing-page-ignored",
        breaks="A listing of which a page is missing is taken for the whole.",
        promise=Promise.GIVEN_BACK,
        path="controller/providers/vast.py",
        swaps=(
            (
                """\
        if told_total != len(found):
            raise Unclear(f"the listing shows {len(found)} of {told_total} instances")
""",
                "",
            ),
        ),
        tests=(
            "tests/controller/vast/test_vast_listing.py::test_a_listing_that_may_lack_something_is_not_known",
        ),
    ),
    Mutant(
        name="destroy-answer-believed",
        breaks="Any answer with status 200 to a destroy call says that the machine is gone.",
        promise=Promise.GIVEN_BACK,
        path="controller/providers/vast.py",
        swaps=(
            (
                'answer.ok and answer.body is not None and answer.body.get("success") is True',
                "answer.status == 200",
            ),
        ),
        tests=(
            "tests/controller/vast/test_vast_provider.py::test_one_is_not_gone_for_any_other_answer",
        ),
    ),
    Mutant(
        name="strangers-of-any-deployment",
        breaks="The sweep destroys machines of other deployments on the same account.",
        promise=Promise.HANDS_OFF,
        path="controller/loops/reap.py",
        swaps=(
            (
                "if label is None or label.deployment != self._deployment:",
                "if label is None:",
            ),
        ),
        tests=("tests/controller/test_machines.py::test_foreign_machines_are_never_touched",),
    ),
    Mutant(
        name="strangers-without-limit",
        breaks="With a wrong database all machines of the deployment are destroyed at once.",
        promise=Promise.HANDS_OFF,
        path="controller/loops/reap.py",
        swaps=(
            (
                """\
not touching them", len(unknown))
            unknown = []
""",
                """\
not touching them", len(unknown))
""",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_many_unknown_machines_under_our_label_are_left_alone",
        ),
    ),
)

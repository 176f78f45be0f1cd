"""Bugs by which more is spent than was reserved, allowed or agreed to, or nobody is charged."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

MONEY = (
    Mutant(
        name="nothing-reserved",
        breaks="A machine is written down without the money that it may cost.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/loops/renting.py",
        swaps=(
            (
                "policy.reservation_usd(offer.usd_per_hour, traffic_usd, longest_s),",
                "0.0 * longest_s,",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_machine_label_and_money_are_on_the_disk_before_the_create_call",
        ),
    ),
    Mutant(
        name="reservation-of-the-expected",
        breaks="Half the life of a machine is reserved: about what a job is expected to take.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/policy.py",
        swaps=(
            (
                "return usd_per_hour * lifetime_s / 3600 + traffic_usd\n",
                "return usd_per_hour * lifetime_s / 7200 + traffic_usd\n",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_reservation_is_enough_for_a_machine_that_lives_as_long_as_it_may",
        ),
    ),
    Mutant(
        name="unproven-end-costs-nothing-more",
        breaks="The reservation does not grow while the end of a machine is not proven.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/store/machines.py",
        swaps=(
            (
                """\
                      THEN max(reserved_usd,
                               usd_per_hour * (:now - created_at) / 3600 + traffic_usd)
""",
                """\
                      THEN reserved_usd
""",
            ),
        ),
        tests=(
            "tests/controller/test_store.py::test_money_of_an_unproven_end_stays_reserved_and_grows",
        ),
    ),
    Mutant(
        name="budget-not-looked-at",
        breaks="A machine is rented whatever its job and the day have cost.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/loops/place.py",
        swaps=(
            (
                "if not self._fits_budget(job, machine.reserved_usd):",
                "if not self._fits_budget(job, 0.0):",
            ),
        ),
        tests=("tests/controller/test_machines.py::test_nothing_is_rented_beyond_the_budgets",),
    ),
    Mutant(
        name="warm-traffic-not-reserved",
        breaks="What a next job moves is not added to the reservation of its warm machine.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/store/machines.py",
        swaps=(
            (
                """\
                          reserved_usd = reserved_usd + :usd WHERE id = :id\"\"\",
                usd=usd,""",
                """\
                          version = version + 1 WHERE id = :id\"\"\",
                usd=usd,""",
            ),
        ),
        tests=(
            "tests/controller/test_hard_cases.py::test_each_job_on_a_warm_machine_pays_its_own_traffic",
        ),
    ),
    Mutant(
        name="dearer-than-offered",
        breaks="A machine that is billed above the cap is kept.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/loops/reap.py",
        swaps=(
            (
                "return machine.usd_per_hour > max(cap, agreed) + ROUNDING_USD",
                "return machine.usd_per_hour > 10 * max(cap, agreed) + ROUNDING_USD",
            ),
        ),
        tests=(
            "tests/controller/test_renting.py::test_a_price_above_the_cap_after_create_destroys_the_machine",
        ),
    ),
    Mutant(
        name="agreed-price-for-all",
        breaks="A machine for which one job's owner agreed to pay more takes others' jobs.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/quotes.py",
        swaps=(
            (
                """\
        if machine.usd_per_hour > wish.max_usd_per_hour + ROUNDING_USD:
            return False  # a higher price was agreed to for another job alone
""",
                "",
            ),
            (
                "from controller.terms import ROUNDING_USD, price_cap",
                "from controller.terms import price_cap",
            ),
        ),
        tests=("tests/controller/test_approvals.py::test_an_approved_price_is_for_its_job_alone",),
    ),
    Mutant(
        name="sample-for-nothing",
        breaks="What samples cost is charged to nobody.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/store/spending.py",
        swaps=(
            (
                "WHERE coalesce(a.reason, '') != 'rent_failed'\n",
                "WHERE coalesce(a.reason, '') != 'rent_failed' AND j.sample_of IS NULL\n",
            ),
        ),
        tests=(
            "tests/controller/test_spending.py::test_what_a_sample_costs_is_its_owners_and_comes_off_their_budget",
        ),
    ),
    Mutant(
        name="cap-loosened-silently",
        breaks="Where nothing fits under the cap, an offer a little above it is taken.",
        promise=Promise.WITHIN_BUDGET,
        path="controller/market.py",
        swaps=(
            (
                "Filter.PRICE: offer.usd_per_hour <= wish.max_usd_per_hour,",
                "Filter.PRICE: offer.usd_per_hour <= wish.max_usd_per_hour * 1.3,",
            ),
        ),
        tests=(
            "tests/controller/test_market.py::test_an_offer_that_lacks_one_thing_fails_by_exactly_that",
        ),
    ),
)

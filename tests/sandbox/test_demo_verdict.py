from typing import Any

import pytest

from bridge.sandbox.verdict import Verdict, judge

OK = ["create", "end"]


def summary(created: int | None = None, **references: list[str]) -> dict[str, Any]:
    named = sum(steps.count("create") for steps in references.values())
    return {
        "errands": {"created": named if created is None else created, "ended": 0},
        "references": references,
    }


def test_each_call_arrived_exactly_once() -> None:
    verdict = judge(summary(a=OK, b=OK), ["a", "b"])
    assert verdict.ok
    assert verdict.calls == 2
    assert verdict.mistakes() == []
    assert all(figure == "0" for _, figure in verdict.rows())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["create"], Verdict(calls=1, unended=("a",))),
        (["end"], Verdict(calls=1, missing=("a",), out_of_order=("a",))),
        (["create", "create", "end"], Verdict(calls=1, duplicates=("a",))),
        (["create", "end", "end"], Verdict(calls=1, duplicates=("a",))),
        (["end_refused", "create", "end"], Verdict(calls=1, out_of_order=("a",))),
        (
            ["end_refused", "create"],
            Verdict(calls=1, unended=("a",), out_of_order=("a",)),
        ),
    ],
)
def test_what_went_wrong_with_a_call_is_named(steps: list[str], expected: Verdict) -> None:
    verdict = judge(summary(a=steps), ["a"])
    assert verdict == expected
    assert not verdict.ok
    assert all(line.endswith(": a") for line in verdict.mistakes())


def test_a_call_that_never_arrived_is_missing_and_not_ended() -> None:
    verdict = judge(summary(), ["a"])
    assert verdict == Verdict(calls=1, missing=("a",), unended=("a",))
    assert verdict.mistakes() == ["lost: a", "not ended: a"]


def test_what_nobody_posted_is_unknown() -> None:
    assert judge(summary(a=OK, b=OK), ["a"]) == Verdict(calls=1, unknown=("b",))


def test_an_errand_without_reference_is_a_stray() -> None:
    verdict = judge(summary(created=3, a=OK), ["a"])
    assert verdict == Verdict(calls=1, strays=2)
    assert not verdict.ok
    assert verdict.mistakes() == ["errands of no call: 2"]


def test_only_some_of_many_are_named() -> None:
    [line, _] = judge(summary(), [str(number) for number in range(25)]).mistakes()
    assert line == "lost: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more"


def test_an_end_that_came_again_is_harmless_where_its_answer_may_have_been_lost() -> None:
    again = summary(a=["create", "end", "end", "end"], b=OK)
    assert not judge(again, ["a", "b"]).ok
    verdict = judge(again, ["a", "b"], ends_may_repeat=True)
    assert verdict == Verdict(calls=2, ends_repeated=2)
    assert verdict.ok
    assert ("ends repeated (harmless)", "2") in verdict.rows()


def test_a_second_errand_is_a_mistake_whatever_was_lost() -> None:
    verdict = judge(summary(a=["create", "create", "end"]), ["a"], ends_may_repeat=True)
    assert verdict == Verdict(calls=1, duplicates=("a",))


def test_errands_of_others_have_to_stay_on_the_list_of_changed_ones() -> None:
    verdict = judge(summary(a=OK), ["a"], others_cleared=["511056"])
    assert not verdict.ok
    assert verdict.mistakes() == ["others' errands cleared: 511056"]


def test_what_waits_for_a_person_is_a_mistake() -> None:
    verdict = judge(summary(a=OK), ["a"], stopped=3)
    assert not verdict.ok
    assert verdict.mistakes() == ["waiting for a person (dead or held): 3"]
    assert ("waiting for a person (dead or held)", "3") in verdict.rows()

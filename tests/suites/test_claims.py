"""Claims: what is read, what is refused, and what seeds say, against scipy and figures made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.claim_rows import row
from scipy import stats

from ssl_zoo.errors import UserError
from ssl_zoo.suites.claims import Comparison, VerdictClaim, parse
from ssl_zoo.suites.judge import judge_claim

ROWS = ("baseline", "no_stop_gradient", "simclr+predictor", "lr-0.05/2", "A")


def judged(text: Any, *rows: Any, names: Any = None) -> Any:
    """The judgement of a claim on these rows."""
    mapping = {one.name: one for one in rows}
    return judge_claim(parse(text, names or tuple(mapping)), mapping)


def state(text: Any, a: Any, b: Any = None, metric: str = "top1") -> Any:
    """The state of a claim on the rows a and b."""
    return judged(
        text, row("a", a, metric=metric), *([] if b is None else [row("b", b, metric=metric)])
    ).state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A is collapsed", ("A", ("collapsed",), False)),
        ("  lr-0.05/2   is   partially   collapsed ", ("lr-0.05/2", ("partially collapsed",), False)),
        ("A is not collapsed", ("A", ("collapsed",), True)),
        ("A is not partially collapsed", ("A", ("partially collapsed",), True)),
        ("A is not learning", ("A", ("not learning",), False)),
        ("A is not not learning", ("A", ("not learning",), True)),
        ("A is collapsed or diverged", ("A", ("collapsed", "diverged"), False)),
        ("A is not learning or collapsed", ("A", ("not learning", "collapsed"), False)),
        ("A is diverged or not learning", ("A", ("diverged", "not learning"), False)),
    ],
)
def test_claims_on_verdicts(text: str, expected: tuple[Any, ...]) -> None:
    assert parse(text, ROWS) == VerdictClaim(text, *expected)


@pytest.mark.parametrize(
    ("text", "metric", "left", "sign", "others", "bound", "margin"),
    [
        ("top1(A) > top1(baseline)", "top1", "A", ">", ("baseline",), 0, None),
        ("top1(A)<top1(baseline)", "top1", "A", "<", ("baseline",), 0, None),
        (
            " knn_top1 ( A )  <  knn_top1( simclr+predictor ) ",
            "knn_top1",
            "A",
            "<",
            ("simclr+predictor",),
            0,
            None,
        ),
        ("top1(A) > top1(lr-0.05/2) + 5%", "top1", "A", ">", ("lr-0.05/2",), 0.05, None),
        ("top1(A) > top1(baseline)-0.05", "top1", "A", ">", ("baseline",), -0.05, None),
        ("top1(A) > 50%", "top1", "A", ">", (), 0.5, None),
        ("top1(A) < .5", "top1", "A", "<", (), 0.5, None),
        ("top1(A) ~ 100 %", "top1", "A", "~", (), 1, 0.02),
        ("loss(A) < -0.9", "loss", "A", "<", (), -0.9, None),
        ("effective_rank(A) > 12", "effective_rank", "A", ">", (), 12, None),
        ("residual_ratio(A) < 1E-3", "residual_ratio", "A", "<", (), 0.001, None),
        ("top1(A) ~ top1(baseline)", "top1", "A", "~", ("baseline",), 0, 0.02),
        ("top1(A) ~ top1(baseline) within 1%", "top1", "A", "~", ("baseline",), 0, 0.01),
        ("loss(A) ~ loss(baseline) + 0.1 within 0.05", "loss", "A", "~", ("baseline",), 0.1, 0.05),
        ("transfer(A) ~ transfer(baseline)", "transfer", "A", "~", ("baseline",), 0, 0.02),
        ("top1(A) > top1(others)", "top1", "A", ">", ROWS[:-1], 0, None),
    ],
)
def test_claims_on_figures(
    text: str, metric: str, left: str, sign: str, others: Any, bound: float, margin: float | None
) -> None:
    claim = parse(text, ROWS, ["transfer"])
    assert isinstance(claim, Comparison)
    assert (claim.text, claim.metric, claim.row, claim.sign) == (text, metric, left, sign)
    assert claim.others == others
    assert claim.bound == pytest.approx(bound)
    assert claim.margin == (None if margin is None else pytest.approx(margin))
    assert claim.is_fraction == (metric in ("top1", "knn_top1", "transfer"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a claim is one of: ROW is VERDICT"),
        ("baseline collapses", "a claim is one of: ROW is VERDICT"),
        ("top1(A) > ", "a claim is one of: ROW is VERDICT"),
        (
            "basline is healthy",
            r"unknown row 'basline'; there are A, baseline, .*; did you mean 'baseline'\?",
        ),
        ("A is colapsed", r"unknown verdict 'colapsed'; there are .*; did you mean 'collapsed'\?"),
        ("A is Collapsed", r"unknown verdict 'Collapsed'.* did you mean 'collapsed'\?"),
        ("A is not helthy", r"unknown verdict 'helthy'.* did you mean 'healthy'\?"),
        ("A is learning", r"unknown verdict 'learning'.* did you mean 'not learning'\?"),
        ("A is collapsed or divergd", r"unknown verdict 'divergd'.* did you mean 'diverged'\?"),
        ("A is not collapsed or diverged", "'is not' takes one verdict, got 2; write a claim for each"),
        ("tpo1(A) > top1(baseline)", r"unknown metric 'tpo1'.* did you mean 'top1'\?"),
        ("top1(A) > tpo1(baseline)", r"unknown metric 'tpo1'.* did you mean 'top1'\?"),
        ("transfer(A) > 0.5", "unknown metric 'transfer'"),
        ("top1(a) > top1(baseline)", "unknown row 'a'"),
        ("top1(A) > top1(basline)", r"unknown row 'basline'.* did you mean 'baseline'\?"),
        ("top1(A) > top1(A)", "the two sides are different rows, got A twice"),
        ("top1(A) > knn_top1(baseline)", "both sides have the same metric, got top1 and knn"),
        ("top1(A) >= top1(baseline)", "the sign is >, < or ~, got '>='"),
        ("top1(A) = top1(baseline)", "the sign is >, < or ~, got '='"),
        ("top1(A) > top1(baseline) * 2", r"'top1\(baseline\) \* 2' is no METRIC\(ROW\)"),
        ("top1(A) > top1(baseline) + much", r"'top1\(baseline\) \+ much' is no METRIC\(ROW\)"),
        ("top1(A) > baseline", "'baseline' is no METRIC"),
        ("top1(A) > top1(baseline) within 1%", "'within' belongs to ~, got it after >; write [+] NUMBER"),
        ("top1(A) ~ top1(baseline) within 0", "the margin after 'within' is above 0, got 0"),
        ("loss(A) ~ loss(baseline)", "loss is no accuracy, so ~ needs a margin; write 'within NUMBER'"),
        ("seconds(A) < seconds(baseline) + 5%", r"% has no meaning here, got [+] 5%; write a plain number"),
        ("top1(A) > 50", "top1 is a fraction of 1, got 50; write 0.05 or 5% for 5 percent"),
        ("top1(A) > top1(baseline) + 1", "top1 is a fraction of 1, got [+] 1; write"),
        ("loss(A) < 1e999", "a number is finite, got 1e999"),
        ("top1(others) < top1(A)", "'others' stands on the right; turn the claim round"),
    ],
)
def test_a_claim_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parse(text, ROWS)
    assert str(caught.value).startswith(f"claim '{text.strip()}' cannot be checked: ")
    assert "\n" not in str(caught.value)


def test_others_needs_other_rows_and_its_name() -> None:
    with pytest.raises(UserError, match="needs rows besides A"):
        parse("top1(A) > top1(others)", ["A"])
    with pytest.raises(UserError, match="rename the row"):
        parse("top1(A) > top1(others)", ["A", "others"])


@pytest.mark.parametrize(
    ("text", "a", "b", "expected"),
    [
        ("top1(a) > top1(b)", [0.97, 0.98, 0.975], [0.71, 0.72, 0.73], "holds"),
        ("top1(a) > top1(b)", [0.71, 0.72, 0.73], [0.97, 0.98, 0.975], "fails"),
        ("top1(a) > top1(b)", [0.90, 0.98, 0.70], [0.71, 0.75, 0.85], "undecided"),
        ("top1(a) < top1(b)", [0.71, 0.72, 0.73], [0.97, 0.98, 0.975], "holds"),
        ("top1(a) < top1(b)", [0.97, 0.98, 0.975], [0.71, 0.72, 0.73], "fails"),
        # equal in all seeds, and exactly at the offset: as soon as there are enough of them, no difference
        ("top1(a) > top1(b)", [0.7, 0.7], [0.7, 0.7, 0.7], "undecided"),
        ("top1(a) > top1(b)", [0.7] * 3, [0.7] * 3, "no difference"),
        ("top1(a) < top1(b)", [0.7] * 3, [0.7] * 3, "no difference"),
        ("top1(a) > top1(b) + 2%", [0.72] * 3, [0.7] * 3, "no difference"),
        ("top1(a) < top1(b) + 2%", [0.72] * 3, [0.7] * 3, "no difference"),
        ("top1(a) > top1(b)", [0.7, 0.7], [0.69, 0.69], "undecided"),
        ("top1(a) > top1(b)", [0.7] * 3, [0.69] * 3, "holds"),
        # surely above, but by less than matters; and by more
        ("top1(a) > top1(b)", [0.7032, 0.7030, 0.7031] * 9, [0.7, 0.7001, 0.7] * 9, "no difference"),
        ("top1(a) > top1(b)", [0.7082, 0.7080, 0.7081] * 2, [0.7, 0.7001, 0.7] * 2, "holds"),
        ("top1(a) > top1(b) + 20%", [0.97, 0.98, 0.975], [0.71, 0.72, 0.73], "holds"),
        ("top1(a) > top1(b) + 30%", [0.97, 0.98, 0.975], [0.71, 0.72, 0.73], "fails"),
        ("top1(a) > top1(b) + 25%", [0.97, 0.98, 0.975], [0.71, 0.72, 0.73], "undecided"),
        ("top1(a) > top1(b) - 5%", [0.70, 0.71, 0.70], [0.71, 0.72, 0.71], "holds"),
        ("top1(a) ~ top1(b)", [0.700, 0.702, 0.701], [0.703, 0.704, 0.705], "holds"),
        ("top1(a) ~ top1(b)", [0.700, 0.702, 0.701], [0.753, 0.754, 0.755], "fails"),
        ("top1(a) ~ top1(b)", [0.753, 0.754, 0.755], [0.700, 0.702, 0.701], "fails"),
        ("top1(a) ~ top1(b)", [0.60, 0.80, 0.70], [0.70, 0.72, 0.71], "undecided"),
        ("top1(a) ~ top1(b) within 10%", [0.700, 0.702, 0.701], [0.753, 0.754, 0.755], "holds"),
        ("top1(a) ~ top1(b)", [0.72] * 9, [0.70] * 9, "undecided"),  # at the margin
        ("top1(a) ~ top1(b)", [0.718] * 9, [0.70] * 9, "holds"),
        ("top1(a) ~ top1(b)", [0.722] * 9, [0.70] * 9, "fails"),
        ("top1(a) ~ top1(b) + 10% within 1%", [0.801, 0.802] * 2, [0.701, 0.702] * 2, "holds"),
        ("top1(a) > 70%", [0.72, 0.73, 0.72] * 2, None, "holds"),
        ("top1(a) > 0.75", [0.72, 0.73, 0.72] * 2, None, "fails"),
        ("top1(a) > 0.725", [0.72, 0.73, 0.72], None, "undecided"),
        ("top1(a) < 0.75", [0.72, 0.73, 0.72] * 2, None, "holds"),
        ("top1(a) > 0.7", [0.7] * 4, None, "no difference"),
        ("top1(a) ~ 0.73 within 5%", [0.72, 0.73, 0.72], None, "holds"),
        ("top1(a) ~ 0.73 within 1e-3", [0.72, 0.73, 0.72], None, "undecided"),
    ],
)
def test_a_comparison_holds_fails_or_is_undecided(
    text: str, a: list[float], b: list[float] | None, expected: str
) -> None:
    assert state(text, a, b) == expected


def test_the_sentence_and_the_figures() -> None:
    a, b = [0.97, 0.98, 0.975], [0.60, 0.72, 0.83]
    found = judged("top1(a) > top1(b)", row("a", a, seconds=60), row("b", b, seconds=90))
    reference = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.99)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (0.2583333, reference.low, reference.high)
    )
    assert (found.text, found.state, found.metric) == ("top1(a) > top1(b)", "undecided", "top1")
    more = found.more_seeds
    assert found.more_minutes == pytest.approx(more * 2.5)
    assert found.why == (
        f"97.5 % against 71.7 %: a difference of 25.8 points (99 % interval −{-100 * reference.low:.1f} to "
        f"{100 * reference.high:.1f}) over 3 and 3 seeds; {more} more seeds each of a and b "
        f"(about {more * 2.5:.0f} minutes of runs) would probably decide it."
    )

    found = judged("loss(a) < -0.9", row("a", [-0.95, -0.95], metric="loss"))
    assert found.state == "holds"
    assert found.why == (
        "−0.950 against −0.900: a difference of −0.0500 (99 % interval −0.0500 to −0.0500) over 2 seeds, "
        "equal in all seeds."
    )
    assert (found.estimate, found.metric) == (pytest.approx(-0.05), "loss")

    half = 100 * stats.t.ppf(0.995, 6) * 0.5 / 360 * math.sqrt(0.5)  # the least deviation, half an image
    images = [row(name, [0.7] * 4, images=360) for name in "ab"]
    assert judged("top1(a) ~ top1(b)", *images).why == (
        f"70.0 % against 70.0 %: a difference of 0.0 points (99 % interval −{half:.1f} to {half:.1f}) over 4 and 4 "
        "seeds, equal in all seeds, for a margin of 2.0 points."
    )
    assert judged("top1(a) > top1(b)", *images).why.endswith(
        "over 4 and 4 seeds, equal in all seeds, all of it within the 0.5 points that matter."
    )
    offset = judged("top1(a) > top1(b) + 2%", row("a", [0.72] * 4), row("b", [0.7] * 4))
    assert offset.why.endswith("all of it within the 0.5 points that matter of the 2.0 points claimed.")
    # what is not 0 is not written as 0
    small = judged("top1(a) > top1(b)", row("a", [0.7002] * 3), row("b", [0.7] * 3)).why
    assert "a difference of 0.02 points" in small


def test_what_would_decide_an_undecided_claim() -> None:
    wide = [0.6, 0.9, 0.8]
    no_time = judged("top1(a) > top1(b)", row("a", wide), row("b", [*wide[::-1], 0.3]))
    assert no_time.more_minutes is None
    assert "more seeds of a, " in no_time.why
    assert no_time.why.endswith("more seeds of b would probably decide it.")
    lagging = judged(
        "top1(a) > top1(b)", row("a", [0.8, 0.81, 0.86], seconds=30), row("b", [0.76, 0.77, 0.75] * 3)
    )
    assert "more seeds of a (about " in lagging.why, "b has seeds enough"
    assert lagging.more_minutes == pytest.approx(lagging.more_seeds / 2)
    hopeless = judged("top1(a) > top1(b)", row("a", [0.1, 0.9, 0.51]), row("b", [0.9, 0.1, 0.5]))
    assert (hopeless.more_seeds, hopeless.more_minutes) == (None, None)
    assert hopeless.why.endswith("; more than 100 seeds would be needed to decide it.")


def test_the_smallest_difference_is_the_suites() -> None:
    rows = {
        name: row(name, [value + 0.001 * (i % 2) for i in range(6)])
        for name, value in (("a", 0.71), ("b", 0.7))
    }
    smallest: Any
    for smallest, expected in ((0.005, "holds"), (0.02, "no difference"), ({"top1": 0.02}, "no difference")):
        assert judge_claim(parse("top1(a) > top1(b)", "ab", smallest=smallest), rows).state == expected
    ranks = {name: row(name, [3.1, 3.0, 3.05], metric="effective_rank") for name in "ab"}
    for smallest, expected in ((0.005, "undecided"), ({"effective_rank": 1}, "no difference")):
        claim = parse("effective_rank(a) > effective_rank(b)", "ab", smallest=smallest)
        assert judge_claim(claim, ranks).state == expected


def test_a_metric_that_no_run_has_is_not_asked() -> None:
    """Accuracies of images without labels; but of a row whose seeds all diverged nothing is known."""
    rows = [row(name, [0.1, 0.2], metric="loss") for name in "ab"]
    found = judged("top1(a) > top1(b)", *rows)
    assert (found.state, found.why) == (
        "not asked",
        "top1 was not measured in any run, which takes labelled images.",
    )
    assert judged("loss(a) > loss(b)", *rows).state == "undecided"
    gone = row("a", [None, None], ["diverged"] * 2)
    assert judged("top1(a) > 0.5", gone).state == "undecided"


def test_an_offset_moves_the_bound_and_not_the_difference() -> None:
    rows = row("a", [0.9, 0.91]), row("b", [0.7, 0.71])
    plain, moved = (judged(f"top1(a) > top1(b){end}", *rows) for end in ("", " + 5%"))
    assert (plain.estimate, plain.low, plain.high) == (moved.estimate, moved.low, moved.high)


def test_one_seed_decides_nothing() -> None:
    full = row("b", [0.1, 0.1, 0.1])
    for text in (
        "top1(a) > top1(b)",
        "top1(b) < top1(a)",
        "top1(a) ~ top1(b)",
        "top1(a) > 0.5",
        "a is healthy",
    ):
        found = judged(text, row("a", [0.9]), full)
        assert found.state == "undecided", text
        assert "one seed decides nothing" in found.why
        assert found.estimate is None


def test_rows_that_were_not_run() -> None:
    names = ("a", "b")
    assert judged("a is healthy", row("b", [0.1, 0.2]), names=names).why == "a was not run."
    for text in ("top1(a) > top1(b)", "top1(b) > top1(a)", "top1(a) > 0.5"):
        found = judged(text, row("b", [0.1, 0.2]), names=names)
        assert (found.state, found.why) == ("not asked", "a was not run.")
    assert judged("top1(a) > top1(b)", names=names).why == "a and b were not run."
    found = judged("a is healthy", row("a"))
    assert (found.state, found.why) == ("not asked", "a was not run.")


def test_failed_and_diverged_seeds_are_named() -> None:
    a = row("a", [0.9, 0.91, math.nan], ["healthy", "healthy", "diverged"])
    b = row("b", [0.5, 0.51], errors=["out of memory"])
    found = judged("top1(a) > top1(b)", a, b)
    assert found.state == "holds"
    assert found.estimate == pytest.approx(0.4)
    assert found.why.endswith(
        "over 2 and 2 seeds; 1 of 3 seeds of a has no top1 (diverged); 1 of 3 seeds of b failed."
    )
    read_back = row("a", [0.9, 0.91, None], ["healthy", "healthy", "diverged"])
    assert judged("top1(a) > top1(b)", read_back, b) == found

    gone = row("a", [math.nan, None, math.inf], ["diverged"] * 3)
    for text in ("top1(a) > top1(b)", "top1(b) > top1(a)", "top1(a) ~ 0.5"):
        found = judged(text, gone, b)
        assert found.state == "undecided"
        assert found.why.startswith("No seed of a has top1; ")
        assert "3 of 3 seeds of a have no top1 (diverged)" in found.why
    one = row("a", [0.9, None], ["healthy", "healthy"])
    assert judged("top1(a) > 0.5", one).why == (
        "Only one seed of a has top1, and one seed decides nothing; 1 of 2 seeds of a has no top1 (not measured)."
    )
    broken = row("a", errors=["x", "y"])
    assert judged("a is healthy", broken).why == "No seed of a has a result; 2 of 2 seeds of a failed."
    waiting = row("a", [0.9, 0.9, 0.1], ["healthy", "healthy", None])
    assert judged("top1(a) > 0.5", waiting).estimate == pytest.approx(
        0.4
    )  # without a verdict it is not finished
    assert judged("a is healthy", waiting).why == (
        "a is healthy in 2 of 2 seeds; 1 of 3 seeds of a has no result yet."
    )


@pytest.mark.parametrize(
    ("said", "verdicts", "expected"),
    [
        ("collapsed", ["collapsed"] * 3, "holds"),
        ("collapsed", ["healthy"] * 3, "fails"),
        ("collapsed", ["collapsed", "healthy", "collapsed"], "fails"),
        ("collapsed", ["collapsed", "diverged"], "fails"),
        ("collapsed", ["partially collapsed"] * 2, "fails"),
        ("not collapsed", ["collapsed"] * 3, "fails"),
        ("not collapsed", ["healthy", "diverged"], "undecided"),  # what is not finite says nothing of it
        ("not collapsed", ["collapsed", "healthy"], "fails"),
        ("not collapsed", ["collapsed", "diverged"], "fails"),
        ("not diverged", ["healthy", "diverged"], "fails"),
        ("not learning", ["not learning"] * 2, "holds"),
        ("not learning", ["healthy"] * 2, "fails"),
        ("not not learning", ["healthy"] * 2, "holds"),
        ("collapsed or diverged", ["collapsed", "diverged"], "holds"),
        ("collapsed or diverged", ["collapsed", "healthy"], "fails"),
        ("collapsed or collapsed", ["collapsed", "healthy"], "fails"),
        ("collapsed or diverged", ["not learning", "healthy"], "fails"),
    ],
)
def test_verdicts_of_all_seeds(said: str, verdicts: Any, expected: str) -> None:
    found = judged(f"a is {said}", row("a", [None] * len(verdicts), verdicts))
    assert found.state == expected
    assert (found.estimate, found.low, found.high, found.metric) == (None, None, None, None)


def test_verdicts_are_counted() -> None:
    mixed = row("a", [None] * 3, ["healthy", "collapsed", "healthy"], errors=["x"])
    assert judged("a is healthy", mixed).why == (
        "a is healthy in 2 of 3 seeds, collapsed in 1 of 3 seeds; 1 of 4 seeds of a failed."
    )


def test_the_same_runs_say_nothing() -> None:
    values = [0.7, 0.8]
    cases = [
        (row("a", values), row("b", values, same_as="a")),
        (row("a", values, same_as="b"), row("b", values)),
        (row("a", values, same_as="c"), row("b", values, same_as="c"), row("c", values)),
        (row("a", values, same_as="c"), row("b", values, same_as="c")),  # c was left out
        (row("c", values), row("b", values, same_as="c"), row("a", values, same_as="b")),
        (row("a", values, hashes="xy"), row("b", values, hashes="xy")),
    ]
    for rows in cases:
        for text in ("top1(a) > top1(b)", "top1(b) < top1(a)", "top1(a) ~ top1(b)"):
            found = judged(text, *rows)
            assert found.state == "not asked"
            assert "are the same runs on this data" in found.why
    # one training, evaluated before and after it
    before, after = row("a", [0.2, 0.2], hashes="xy"), row("b", [0.7, 0.71], hashes="xy")
    assert judged("top1(a) < top1(b)", before, after).state == "holds"
    # and the same figures of different runs are no less worth
    assert (
        judged("top1(a) ~ top1(b) within 90%", row("a", [0.7, 0.71]), row("b", [0.7, 0.71])).state == "holds"
    )


def test_others_is_each_of_the_others() -> None:
    a, low, mid = row("a", [0.90, 0.91, 0.90]), row("b", [0.5, 0.51, 0.5]), row("c", [0.8, 0.81, 0.8])
    noisy, high = row("d", [0.6, 0.95, 0.99]), row("e", [0.97, 0.98, 0.97])

    found = judged("top1(a) > top1(others)", a, low, mid)
    alone = judged("top1(a) > top1(c)", a, mid)  # the nearest
    assert (found.state, found.estimate, found.low, found.high) == (
        "holds",
        alone.estimate,
        alone.low,
        alone.high,
    )
    assert found.why == (
        "90.3 % against 80.3 % of c: a difference of 10.0 points (99 % interval "
        f"{100 * alone.low:.1f} to {100 * alone.high:.1f}) over 3 and 3 seeds; it holds against 2 of 2 other rows."
    )

    found = judged("top1(a) > top1(others)", a, low, noisy)
    assert found.state == "undecided"
    assert "of d" in found.why
    assert "it holds against 1, is undecided against 1 of 2 other rows" in found.why

    found = judged("top1(a) > top1(others)", a, low, noisy, high)
    assert found.state == "fails"
    assert "of e" in found.why

    found = judged("top1(b) < top1(others)", a, low, mid, high)
    assert (found.state, found.estimate) == ("holds", pytest.approx(-0.3))
    found = judged("top1(a) ~ top1(others) within 50%", a, low, mid)
    assert (found.state, found.estimate) == ("holds", pytest.approx(0.4))

    # others are those of this run: a budget may leave rows out
    found = judged("top1(a) > top1(others)", a, low, names=("a", "b", "c"))
    assert found.state == "holds"
    assert "it holds against 1 of 1 other row" in found.why
    assert judged("top1(a) > top1(others)", a, names=("a", "b", "c")).state == "not asked"
    assert judged("top1(a) > top1(others)", a, high, names=("a", "e", "c")).state == "fails"


@pytest.mark.slow
def test_claims_agree_with_each_other() -> None:
    generator = np.random.default_rng(1)
    seen = set()
    for _ in range(400):
        a, b = (
            np.round(
                generator.normal(0.7 + generator.choice([0, 0.03, 0.1]), 0.02, generator.integers(2, 5)), 2
            )
            for _ in "ab"
        )
        if generator.random() < 0.1:
            a[:], b[:] = generator.choice([0.70, 0.71, 0.72], 2)
        a, b = a.tolist(), b.tolist()
        more, less = state("top1(a) > top1(b)", a, b), state("top1(a) < top1(b)", a, b)
        seen.add(more)
        turned, other = state("top1(b) > top1(a)", a, b), state("top1(b) < top1(a)", a, b)
        assert (more, less) == (other, turned)
        equal = state("top1(a) ~ top1(b) within 2%", a, b)
        assert equal == state("top1(b) ~ top1(a) within 2%", a, b)
        if more == "holds":
            assert less == turned == "fails"
            assert state("top1(a) > top1(b) - 1%", a, b) == "holds"
        if more == "fails":
            assert state("top1(a) > top1(b) + 1%", a, b) == "fails"
        if more == "no difference":
            assert less == turned == "no difference"
            assert equal == "holds"
        # what is apart by more than the margin is not equal
        if state("top1(a) > top1(b) + 2%", a, b) == "holds":
            assert equal == "fails"
        if equal == "holds":
            assert state("top1(a) < top1(b) + 2.6%", a, b) == "holds"
            assert state("top1(a) > top1(b) - 2.6%", a, b) == "holds"
        reference = stats.ttest_ind(a, b, equal_var=False).pvalue if min(len({*a}), len({*b})) > 1 else None
        if reference is not None and abs(reference - 0.01) > 1e-6 and more != "no difference":
            assert (more == "undecided") == (reference >= 0.01)
    assert seen == {"holds", "fails", "undecided", "no difference"}

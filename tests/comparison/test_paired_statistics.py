"""The tests between models, against scipy, against every pattern of signs, and against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from napari_attnseg.comparison.report.story import outcome
from napari_attnseg.comparison.results import ComparedModel, Results, ScoredImage, ScoredRun
from napari_attnseg.comparison.statistics import holm, median_interval, paired_tests, wilcoxon_p
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.training.evaluation import ImageScore

BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "cell"))


def scored(name: str, hits: int, group: str = "") -> ScoredImage:
    """Return an image of 200 pixels, half of them object, of which so many were found: F1 is 2 hits / (100 + hits)."""
    matrix = np.array([[100, 0], [100 - hits, hits]])
    return ScoredImage(Path(name), Path(f"{name}_MASK"), group or name, ImageScore(name, matrix))


def model(label: str, *runs: dict[str, int], groups: dict[str, str] | None = None) -> ComparedModel:
    made = [
        ScoredRun(
            f"{label}{seed}",
            Path(label),
            tuple(scored(name, hits, (groups or {}).get(name, "")) for name, hits in run.items()),
            ("background", "cell"),
            parameters=10,
            seed=seed,
        )
        for seed, run in enumerate(runs)
    ]
    return ComparedModel(label, tuple(made))


def results(*models: ComparedModel, is_grouped: bool = False) -> Results:
    return Results(models, ("background", "cell"), ("#000000", "#e69f00"), BINARY, is_grouped=is_grouped)


def test_p_of_many_leaves_zeros_out_and_corrects_for_ties() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 60)
    values[:10] = np.round(values[:10])
    ranks = stats.rankdata(np.abs(values[values != 0]))
    distance = abs(ranks[values[values != 0] > 0].sum() - ranks.sum() / 2)
    assert wilcoxon_p(values) == pytest.approx(2 * stats.norm.sf(distance / np.sqrt((ranks**2).sum() / 4)))


@pytest.mark.parametrize("values", [[1, 1, -1, 2], [0.5, 0.5, 0.5], [3, -1, -1, 2, 2, 2, 0, 0], [-4, 1]])
def test_p_with_ties_counts_every_pattern_of_signs(values: list[float]) -> None:
    differences = np.array(values, float)
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    middle = ranks.sum() / 2
    found = abs(ranks[kept > 0].sum() - middle)
    sums = [ranks[np.array(signs)].sum() for signs in product([False, True], repeat=len(kept))]
    assert wilcoxon_p(differences) == pytest.approx(np.mean([abs(one - middle) >= found - 1e-9 for one in sums]))


def test_equal_scores_show_nothing() -> None:
    assert wilcoxon_p(np.zeros(9)) == 1


def test_holm_by_hand() -> None:
    # 0.01 x 3, then 0.03 x 2, and 0.04 x 1 is raised to what came before it
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_interval_holds_the_median_and_narrows_with_n() -> None:
    values = np.random.default_rng(1).normal(1, 1, 400)
    low, high = median_interval(values)
    few_low, few_high = median_interval(values[:20])
    assert low < np.median(values) < high
    assert high - low < few_high - few_low
    assert median_interval(np.full(5, 0.25)) == (0.25, 0.25)
    assert median_interval(values) == (low, high)


def test_seeds_are_averaged_before_images_are_paired() -> None:
    names = [f"i{number}" for number in range(7)]
    first = model("a", dict.fromkeys(names, 100), {name: 50 + number for number, name in enumerate(names)})
    second = model("b", dict.fromkeys(names, 20), dict.fromkeys(names, 40))
    (test,) = paired_tests(results(first, second))
    assert (test.n, test.n_different) == (7, 7)
    assert test.p == pytest.approx(2 / 2**7)  # all seven agree: one pattern of 128, and its mirror
    f1 = {hits: 2 * hits / (100 + hits) for hits in (20, 40, 53, 100)}
    assert test.median == pytest.approx((f1[100] + f1[53]) / 2 - (f1[20] + f1[40]) / 2)
    assert test.verdict == "a scores higher"


def test_groups_count_once_and_too_few_tell_nothing() -> None:
    names = [f"p{number}_{plane}" for number in range(5) for plane in range(4)]
    groups = {name: name[:2] for name in names}
    first = model("a", dict.fromkeys(names, 90), groups=groups)
    second = model("b", dict.fromkeys(names, 80), groups=groups)
    (test,) = paired_tests(results(first, second, is_grouped=True))
    assert test.n == 5
    assert test.smallest_p == pytest.approx(2 / 2**5)
    assert test.verdict == "too few to tell"


def test_three_models_make_three_tests_on_the_images_that_all_share() -> None:
    names = [f"i{number}" for number in range(12)]
    rng = np.random.default_rng(2)
    drawn = [{name: int(rng.integers(20, 90)) for name in names} for _ in range(3)]
    del drawn[1]["i0"]
    tests = paired_tests(results(*(model(label, run) for label, run in zip("abc", drawn, strict=True))))
    assert [(one.first, one.second) for one in tests] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {one.n for one in tests} == {11}
    assert [one.p_adjusted for one in tests] == pytest.approx(holm([one.p for one in tests]))
    apart = [model("a", {"x": 10}), model("b", {"y": 10})]
    assert paired_tests(results(*apart)) == []


def test_means_and_deviations_by_hand() -> None:
    found = model("a", {"x": 100, "y": 100}, {"x": 60, "y": 100})
    mean = found.mean("f1")
    assert mean.mean == pytest.approx((1 + (0.75 + 1) / 2) / 2)
    assert mean.deviation == pytest.approx(0.125 / np.sqrt(2))
    assert mean.text() == "0.938 ± 0.088"
    assert found.dice(1).mean == pytest.approx((1 + 2 * 160 / (200 + 160)) / 2)
    assert found.image_scores[Path("x")] == pytest.approx((1 + 0.75) / 2)
    assert np.array_equal(found.matrix, [[200, 0], [20, 180]])


def test_scores_that_are_equal_but_for_rounding_are_equal() -> None:
    names = [f"i{number}" for number in range(9)]
    first = [model("a", dict.fromkeys(names, hits)) for hits in (10, 20, 30)]
    runs = tuple(run for one in first for run in one.runs)
    forward, backward = replace(first[0], runs=runs), replace(first[0], label="b", runs=runs[::-1])
    means = [one.image_scores[Path("i0")] for one in (forward, backward)]
    assert means[0] != means[1], "the same three scores, added up in another order"
    (test,) = paired_tests(results(forward, backward))
    assert (test.n, test.n_different, test.p, test.verdict) == (9, 0, 1.0, "equal in all")
    assert any(
        "have the same scores in all of 9 images" in text for text in outcome(results(forward, backward), [test])
    )

"""The tests between models, against scipy, against every pattern of signs, and against values worked out by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from napari_attnseg.comparison.report import table_sections
from napari_attnseg.comparison.report.csv_files import write_tests
from napari_attnseg.comparison.report.story import outcome
from napari_attnseg.comparison.results import ComparedModel, Results, ScoredImage, ScoredRun
from napari_attnseg.comparison.statistics import holm, paired_tests, pseudo_median, wilcoxon_p
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


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 12, 49, 50, 51, 200])
def test_the_typical_difference_is_the_median_of_the_means_of_all_pairs(n: int) -> None:
    values = np.random.default_rng(n).normal(0.2, 1, n)
    means = np.sort([(values[i] + values[j]) / 2 for i in range(n) for j in range(i, n)])
    typical, low, high = pseudo_median(values)
    assert typical == pytest.approx(np.median(means))
    for limit in (low, high):
        assert limit is None if n < 6 else min(abs(means - limit)) < 1e-9
    assert pseudo_median(np.concatenate([values, np.zeros(3 * n)])) == (typical, low, high)


@pytest.mark.parametrize("n", [6, 7, 8, 9, 15, 30, 50, 80])
def test_the_interval_leaves_0_out_where_the_test_shows_a_difference(n: int) -> None:
    rng = np.random.default_rng(n)
    shown = 0
    for shift in np.linspace(-1, 1, 60):
        values = rng.normal(shift, 1, n)
        _, low, high = pseudo_median(values)
        assert (low > 0 or high < 0) == (wilcoxon_p(values) <= 0.05)
        shown += low > 0 or high < 0
    assert 0 < shown < 60


def test_the_interval_of_equal_and_of_no_differences() -> None:
    assert pseudo_median(np.full(9, 0.25)) == pytest.approx((0.25, 0.25, 0.25))
    assert pseudo_median(np.zeros(4)) == (0, None, None)
    values = np.random.default_rng(1).normal(1, 1, 4000)
    _, low, high = pseudo_median(values)
    _, few_low, few_high = pseudo_median(values[:20])
    assert low < 1 < high
    assert high - low < few_high - few_low


@pytest.mark.parametrize("n", [0, 1, 5, 6])
def test_five_differences_are_too_few_for_an_interval(n: int, tmp_path: Path) -> None:
    """Even from the least to the largest of five an interval covers 93.75 %, and not the 95 % that it is called by."""
    names = [f"i{number}" for number in range(8)]
    higher = {name: 60 + number for number, name in enumerate(names) if number < n}
    models = results(model("a", dict.fromkeys(names, 50) | higher), model("b", dict.fromkeys(names, 50)))
    (test,) = paired_tests(models)
    assert test.n_different == n
    assert (test.low is None) == (test.high is None) == (n < 6)
    write_tests(tmp_path / "tests.csv", [test])
    (row,) = csv.DictReader((tmp_path / "tests.csv").read_text(encoding="utf-8").splitlines())
    assert row["Typical difference"]
    assert bool(row["95% low"]) == bool(row["95% high"]) == (n == 6)
    page = "".join(table_sections.tests_section(models, [test]))
    assert (" to +" in page) == (n == 6)
    assert "None" not in page
    assert ("95 % interval" in " ".join(outcome(models, [test]))) == (n == 6)


def test_ties_do_not_turn_the_winner_round() -> None:
    names = [f"i{number}" for number in range(60)]
    equal = dict.fromkeys(names, 50)
    first = model("a", equal | {name: 55 + number for number, name in enumerate(names[:20])})
    (test,) = paired_tests(results(first, model("b", equal)))
    assert (test.n, test.n_different, test.winner) == (60, 20, "a")
    assert test.low > 0
    (test,) = paired_tests(results(model("b", equal), first))
    assert (test.winner, test.verdict) == ("a", "a scores higher")
    text = " ".join(outcome(results(first, model("b", equal)), [test]))
    assert "over the 20 of 60 images where they differ" in text


def test_a_few_large_gains_against_many_small_losses() -> None:
    names = [f"i{number}" for number in range(134)]
    first = {name: 50 if number < 70 else 80 for number, name in enumerate(names)}
    second = {name: 51 if number < 70 else 50 for number, name in enumerate(names)}
    (test,) = paired_tests(results(model("a", first), model("b", second)))
    assert test.winner == "a"  # most images are for b, and the ranks for a


def test_a_mean_that_a_single_image_decides_is_not_called_a_win() -> None:
    names = [f"i{number}" for number in range(12)]
    first = dict.fromkeys(names, 50) | {"i0": 100}
    second = dict.fromkeys(names, 52) | {"i0": 0}
    models = results(model("a", first), model("b", second))
    (test,) = paired_tests(models)
    assert test.winner == "b"
    text = " ".join(outcome(models, [test]))
    assert "a has the highest mean F1" in text
    assert "The mean of a is higher, but compared image by image b scores higher" in text


def test_what_holm_lets_through_is_no_longer_too_few() -> None:
    names = [f"i{number}" for number in range(30)]
    base = dict.fromkeys(names, 50)
    models = [model("a", base), model("b", base | dict.fromkeys(names[:6], 60)), model("c", dict.fromkeys(names, 90))]
    tests = {(one.first, one.second): one for one in paired_tests(results(*models))}
    six = tests["a", "b"]
    assert six.smallest_p > 0.05
    assert six.p_adjusted == pytest.approx(2 / 2**6)
    assert six.verdict == "b scores higher"


def test_seeds_are_averaged_before_images_are_paired() -> None:
    names = [f"i{number}" for number in range(7)]
    first = model("a", dict.fromkeys(names, 100), {name: 50 + number for number, name in enumerate(names)})
    second = model("b", dict.fromkeys(names, 20), dict.fromkeys(names, 40))
    (test,) = paired_tests(results(first, second))
    assert (test.n, test.n_different) == (7, 7)
    assert test.p == pytest.approx(2 / 2**7)  # all seven agree: one pattern of 128, and its mirror
    f1 = {hits: 2 * hits / (100 + hits) for hits in (20, 40, *range(50, 57), 100)}
    apart = [(f1[100] + f1[50 + number]) / 2 - (f1[20] + f1[40]) / 2 for number in range(7)]
    assert test.typical == pytest.approx(np.median([(a + b) / 2 for i, a in enumerate(apart) for b in apart[i:]]))
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


def folds(label: str, *runs: tuple[int, int, dict[str, int]]) -> ComparedModel:
    """Return a model of which each training has a seed and a fold."""
    made = model(label, *(hits for _, _, hits in runs)).runs
    named = zip(made, runs, strict=True)
    return ComparedModel(label, tuple(replace(run, seed=seed, fold=fold) for run, (seed, fold, _) in named))


def test_folds_are_no_repeats() -> None:
    found = folds("a", (0, 0, {"x": 100, "y": 100, "z": 100}), (0, 1, {"v": 60}))
    assert found.mean("f1").mean == pytest.approx((3 + 0.75) / 4), "each image counts once"
    assert found.mean("f1").deviation is None
    other = folds("b", (0, 0, {"x": 90, "y": 90, "z": 90}), (0, 1, {"v": 60}))
    text = " ".join(outcome(results(found, other), paired_tests(results(found, other))))
    assert "varies" not in text
    twice = folds("a", (0, 0, {"x": 100}), (0, 1, {"v": 60}), (1, 0, {"x": 60}), (1, 1, {"v": 60}))
    assert twice.mean("f1").mean == pytest.approx((0.875 + 0.75) / 2)
    assert twice.mean("f1").count == 2


def test_models_with_scores_of_other_images_are_told() -> None:
    found = results(model("a", {"x": 100, "y": 90}), model("b", {"x": 80}))
    assert "Not all were scored on the same images (a 2 and b 1)" in " ".join(outcome(found, paired_tests(found)))


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


def test_a_single_model_is_not_called_the_highest() -> None:
    text = " ".join(outcome(results(model("a", {"i0": 50, "i1": 50})), []))
    assert text.startswith("The mean F1 of an image is 0.")
    assert "highest" not in text

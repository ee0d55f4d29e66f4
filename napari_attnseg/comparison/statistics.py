"""Whether two models differ: a paired test over the images that both were scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.comparison.results import Results

LEVEL = 0.05
_FEWEST_FOR_INTERVAL = 6
"""Differences of which all the range covers 95 %; of five it covers 1 - 2 / 2^5, which is 93.75 %."""
_MOST_EXACT = 50
"""Differences for which the distribution of the rank sum is worked out; for more the normal one takes its place."""
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """The Wilcoxon signed-rank test of one model's scores against another's on the same images (or groups)."""

    first: str
    second: str
    n: int
    """Images (or groups) that both were scored on."""
    n_different: int
    """Those of them whose scores differ; only these count in the test."""
    typical: float
    """First minus second where they differ: the pseudo-median, whose sign is the one that the test speaks of."""
    low: float | None
    high: float | None
    """Its 95 % interval by the same test; None of fewer than six differences, which are too few for one."""
    p: float
    """Two-sided, before it is adjusted."""
    p_adjusted: float
    """After Holm, for the number of pairs that are tested together."""
    smallest_p: float
    """What `p_adjusted` would be if all images agreed; above `LEVEL` the test can show nothing."""

    @property
    def verdict(self) -> str:
        """What follows, for people."""
        if self.n_different == 0:
            return "equal in all"
        if self.is_too_few:
            return "too few to tell"
        if self.winner is None:
            return "no difference shown"
        return f"{self.winner} scores higher"

    @property
    def is_too_few(self) -> bool:
        """Whether so few scores differ that nothing can be shown."""
        return self.p_adjusted > LEVEL and self.smallest_p > LEVEL

    @property
    def winner(self) -> str | None:
        """The model that scores higher, image by image, by more than chance; None if neither does."""
        if self.p_adjusted > LEVEL or self.typical == 0:
            return None
        return self.first if self.typical > 0 else self.second


def paired_tests(results: Results) -> list[PairedTest]:
    """Test each pair of models, the p values adjusted by Holm's method for all pairs together.

    Scores are averaged over the runs that an image was held out from, and then over the images of a group, so that
    several seeds and several slices of a patient do not count as independent measurements.
    """
    pairs = list(combinations(results.models, 2))
    scores = {model.label: results.unit_scores(model) for model in results.models}
    names = list(next(iter(scores.values()), {}))
    if not names:
        return []
    differences = [_differences([(scores[a.label][name], scores[b.label][name]) for name in names]) for a, b in pairs]
    p_values = [wilcoxon_p(one) for one in differences]
    found = []
    for (a, b), one, p, adjusted in zip(pairs, differences, p_values, holm(p_values), strict=True):
        n_different = int(np.count_nonzero(one))
        typical, low, high = pseudo_median(one)
        # a difference that all images agree on has the same sign in all of them: one of the 2^n patterns, or its mirror
        smallest = min(1.0, len(pairs) * 2.0 ** (1 - n_different))
        found.append(PairedTest(a.label, b.label, len(one), n_different, typical, low, high, p, adjusted, smallest))
    return found


def _differences(scores: Sequence[tuple[float, float]]) -> FloatArray:
    """Return first minus second; scores that are equal but for the rounding of their means differ by nothing."""
    return np.array([first - second for first, second in scores]).round(12)


def wilcoxon_p(differences: FloatArray) -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test.

    Differences of zero are left out. p is exact for up to 50 others, or 13 where some are equal in size; above, it is
    that of the normal approximation with the correction for ties.

    Parameters
    ----------
    differences
        float64 (n,), of paired values.
    """
    from scipy.stats import wilcoxon

    values = differences[differences != 0]
    return float(wilcoxon(values).pvalue) if len(values) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values of tests that are made together, by Holm's step-down method."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def pseudo_median(differences: FloatArray) -> tuple[float, float | None, float | None]:
    """Return how much paired values typically differ, and the 95 % interval of that.

    It is the estimate that belongs to the signed-rank test: the median of the means of all pairs of differences (each
    with itself too), and an interval that holds 0 where the test shows nothing. Differences of zero are left out, as
    in the test, so that many equal values cannot make it 0 or turn it round.

    Hodges and Lehmann 1963, "Estimates of location based on rank tests", https://doi.org/10.1214/aoms/1177704172

    Parameters
    ----------
    differences
        float64 (n,), of paired values; without any but zeros they differ by 0.

    Returns
    -------
    The estimate and the limits of the interval, which are None of fewer than six differences.
    """
    values = np.sort(differences[differences != 0])
    if not len(values):
        return 0.0, None, None
    pairs = len(values) * (len(values) + 1) // 2
    middle = (_mean_of_pair(values, (pairs - 1) // 2) + _mean_of_pair(values, pairs // 2)) / 2
    if len(values) < _FEWEST_FOR_INTERVAL:
        return middle, None, None
    outside = _outside_interval(len(values))
    return middle, _mean_of_pair(values, outside), _mean_of_pair(values, pairs - 1 - outside)


def _mean_of_pair(values: FloatArray, rank: int) -> float:
    """Return the mean of two of the sorted values (or of one with itself) that `rank` others are not above.

    It is searched for by halving, so that thousands of values do not become millions of means.
    """
    below, above = float(values[0]), float(values[-1])
    for _ in range(64):
        middle = (below + above) / 2
        partners = np.searchsorted(values, 2 * middle - values, side="right")  # of each value; their mean is not above
        count = int(np.maximum(partners - np.arange(len(values)), 0).sum())
        below, above = (below, middle) if count > rank else (middle, above)
    return round(above, 12) + 0.0  # the search never meets 0 itself


def _outside_interval(n: int) -> int:
    """Return how many means of pairs of six or more values lie below the 95 % interval, and as many above it."""
    if n > _MOST_EXACT:
        middle, deviation = n * (n + 1) / 4, np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return int(max(0, np.floor(middle - 1.96 * deviation)))
    patterns = np.ones(1)  # of signs, by the rank sum of the positive ones
    for rank in range(1, n + 1):
        longer = np.zeros(len(patterns) + rank)
        longer[: len(patterns)] += patterns
        longer[rank:] += patterns
        patterns = longer / 2
    rare = int(np.count_nonzero(2 * np.cumsum(patterns) <= LEVEL))  # rank sums that the test calls more than chance
    return rare - 1

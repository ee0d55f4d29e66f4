"""Whether two models differ: a paired test over the images that both were scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.comparison.results import Results

LEVEL = 0.05
_RESAMPLES = 10_000
_EXACT_UP_TO = 25
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
    median: float
    """The median of first minus second."""
    low: float
    high: float
    """Its 95 % bootstrap interval."""
    p: float
    """Two-sided, before it is adjusted."""
    p_adjusted: float
    """After Holm, for the number of pairs that are tested together."""
    smallest_p: float
    """What `p_adjusted` would be if all images agreed; above `LEVEL` the test can show nothing."""

    @property
    def verdict(self) -> str:
        """What follows, for people."""
        if self.smallest_p > LEVEL:
            return "too few to tell"
        if self.p_adjusted > LEVEL:
            return "no difference shown"
        return f"{self.first if self._favours_first else self.second} scores higher"

    @property
    def _favours_first(self) -> bool:
        return self.median > 0 or (self.median == 0 and self.low + self.high > 0)


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
    differences = [np.array([scores[a.label][name] - scores[b.label][name] for name in names]) for a, b in pairs]
    p_values = [wilcoxon_p(one) for one in differences]
    found = []
    for (a, b), one, p, adjusted in zip(pairs, differences, p_values, holm(p_values), strict=True):
        n_different = int(np.count_nonzero(one))
        low, high = median_interval(one)
        # a difference that all images agree on has the same sign in all of them: one of the 2^n patterns, or its mirror
        smallest = min(1.0, len(pairs) * 2.0 ** (1 - n_different))
        found.append(
            PairedTest(a.label, b.label, len(one), n_different, float(np.median(one)), low, high, p, adjusted, smallest)
        )
    return found


def wilcoxon_p(differences: FloatArray) -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test.

    Differences of zero are left out. Up to 25 of the others p is exact, ties included; above, it is that of the normal
    approximation with the correction for ties.

    Parameters
    ----------
    differences
        float64 (n,), of paired values.
    """
    from scipy.stats import norm, rankdata

    values = differences[differences != 0]
    if len(values) == 0:
        return 1.0
    ranks = rankdata(np.abs(values).round(12))  # equal differences differ by rounding
    statistic = ranks[values > 0].sum()
    middle = ranks.sum() / 2
    if len(values) <= _EXACT_UP_TO:
        return _exact_p(ranks, statistic)
    deviation = np.sqrt((ranks**2).sum() / 4)  # this sum is smaller where there are ties: the correction for them
    return float(min(1.0, 2 * norm.sf(abs(statistic - middle) / deviation)))


def _exact_p(ranks: FloatArray, statistic: float) -> float:
    """Count the patterns of signs whose rank sum is as far from the middle as the one that was found."""
    steps = np.rint(2 * ranks).astype(int)  # ties give halves
    counts = np.zeros(steps.sum() + 1)
    counts[0] = 1
    for step in steps:
        moved = np.zeros_like(counts)
        moved[step:] = counts[: len(counts) - step]
        counts += moved
    sums = np.arange(len(counts))
    far = np.abs(sums - steps.sum() / 2) >= abs(2 * statistic - steps.sum() / 2) - 1e-9
    return float(min(1.0, counts[far].sum() / counts.sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values of tests that are made together, by Holm's step-down method."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def median_interval(values: FloatArray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the median; the same values give the same interval."""
    rng = np.random.default_rng(seed)
    medians = np.median(rng.choice(values, (_RESAMPLES, len(values))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)

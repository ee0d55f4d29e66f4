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
_RESAMPLES_AT_ONCE = 500  # thousands of images would fill the memory otherwise
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
        if self.n_different == 0:
            return "equal in all"
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
    differences = [_differences([(scores[a.label][name], scores[b.label][name]) for name in names]) for a, b in pairs]
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


def median_interval(values: FloatArray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the median; the same values give the same interval."""
    rng = np.random.default_rng(seed)
    draws = (rng.choice(values, (_RESAMPLES_AT_ONCE, len(values))) for _ in range(_RESAMPLES // _RESAMPLES_AT_ONCE))
    medians = np.concatenate([np.median(drawn, axis=1) for drawn in draws])
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)

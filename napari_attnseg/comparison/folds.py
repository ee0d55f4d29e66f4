"""Folds: the images are shared out so that each is held out once, whole groups together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.split import groups_of
from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

Split = tuple[tuple[Pair, ...], tuple[Pair, ...]]
"""What is trained on, and what is held out."""


def fold_pairs(pairs: Sequence[Pair], folds: int, group_pattern: str | None = None, seed: int = 0) -> list[Split]:
    """Share annotated images out into folds.

    Groups of like file size, which tells kinds of images apart, are spread over the folds, and the folds are kept of
    like size: of each stretch of as many groups as there are folds, every fold gets one, the fullest the smallest.

    Parameters
    ----------
    pairs
        The annotated pairs.
    folds
        How many, 2 at least.
    group_pattern
        See `groups_of`.
    seed
        The same pairs and seed give the same folds.

    Returns
    -------
    A split for each fold, its pairs sorted by path; every pair is held out in exactly one.

    Raises
    ------
    DataError
        There are fewer groups than folds.
    """
    groups = groups_of(pairs, group_pattern)
    if len(groups) < folds:
        found = f"{counted(len(pairs), 'image')} with masks"
        grouped = f" in {counted(len(groups), 'group')}" if group_pattern else ""
        raise DataError(
            f"{found}{grouped} cannot be shared out into {folds} folds, of which each needs "
            f"{'a group' if group_pattern else 'an image'} of its own; ask for fewer folds or annotate more images."
        )
    rng = np.random.default_rng(seed)
    names = sorted(groups, key=lambda name: (_mean_size(groups[name]), name))
    held_out: list[list[Pair]] = [[] for _ in range(folds)]
    for start in range(0, len(names), folds):
        stretch = rng.permutation(np.array(names[start : start + folds], object)).tolist()
        stretch.sort(key=lambda name: -len(groups[name]))
        emptiest = sorted(rng.permutation(folds).tolist(), key=lambda fold: len(held_out[fold]))
        for name, fold in zip(stretch, emptiest, strict=False):
            held_out[fold] += groups[name]
    return [_split(pairs, fold) for fold in held_out]


def _split(pairs: Sequence[Pair], held_out: Sequence[Pair]) -> Split:
    chosen = {pair.image for pair in held_out}
    ordered = sorted(pairs, key=lambda pair: pair.image)
    train = tuple(pair for pair in ordered if pair.image not in chosen)
    return train, tuple(pair for pair in ordered if pair.image in chosen)


def _mean_size(group: Sequence[Pair]) -> float:
    return sum(pair.image.stat().st_size for pair in group) / len(group)

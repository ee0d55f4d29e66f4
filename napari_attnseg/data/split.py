"""Which images are held out: whole images, whole stacks, whole groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError


def split_pairs(
    pairs: Sequence[Pair], *, fraction: float, group_pattern: str | None = None, seed: int = 0
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Choose the images that are trained on and those that are held out.

    Parameters
    ----------
    pairs
        The annotated pairs.
    fraction
        Share of the images to hold out, 0 to below 1. Whole groups are taken at random, spread over
        the range of file sizes, while that brings the number of held-out images nearer to it; one group at least is
        held out, and one at least is trained on.
    group_pattern
        See `groups_of`.
    seed
        The same pairs (by name) and seed give the same split, whatever their order.

    Returns
    -------
    tuple
        Pairs to train on and pairs held out, each sorted by path. None is held out of one group or with `fraction` 0.

    Raises
    ------
    DataError
        `group_pattern` matches no image.
    """
    groups = groups_of(pairs, group_pattern)
    names = sorted(groups)
    if fraction <= 0 or len(names) < 2:
        return _sorted(pairs), ()
    order = _spread(groups, fraction, np.random.default_rng(seed))
    wanted = fraction * len(pairs)
    held_out: list[Pair] = []
    chosen: set[str] = set()
    for name in order:
        after = len(held_out) + len(groups[name])
        nearer = abs(after - wanted) < abs(len(held_out) - wanted)
        if (nearer or not chosen) and len(chosen) < len(names) - 1:
            held_out += groups[name]
            chosen.add(name)
    return _sorted([pair for name in names if name not in chosen for pair in groups[name]]), _sorted(held_out)


def _spread(groups: dict[str, list[Pair]], fraction: float, rng: np.random.Generator) -> list[str]:
    """Return the groups in the order in which they are considered for holding out.

    An image's file size tells kinds of images apart (smooth from textured, small from large) at no cost. The groups are
    sorted by it and cut into as many stretches as groups are wanted; one of each stretch comes first. A purely random
    choice often holds out most images of a rare kind, so that it is neither learnt nor fairly measured.
    """
    names = sorted(groups, key=lambda name: (sum(map(_size, groups[name])) / len(groups[name]), name))
    stretches = np.array_split(np.array(names, object), max(1, round(fraction * len(names))))
    first = [str(rng.choice(stretch)) for stretch in stretches]
    others = [name for name in names if name not in set(first)]
    return [*rng.permutation(first).tolist(), *rng.permutation(others).tolist()]


def _size(pair: Pair) -> int:
    try:
        return pair.image.stat().st_size
    except OSError:
        return 0


def groups_of(pairs: Sequence[Pair], group_pattern: str | None = None) -> dict[str, list[Pair]]:
    """Sort pairs into groups that stay together.

    Parameters
    ----------
    pairs
        Images, with or without masks.
    group_pattern
        A regular expression that is searched in the image's file name without extension; images are grouped by what its
        round brackets match, or all of it without brackets. Images that it does not match stand alone. None: all do.

    Raises
    ------
    DataError
        It is no regular expression or matches no image.
    """
    groups: dict[str, list[Pair]] = defaultdict(list)
    try:
        pattern = re.compile(group_pattern) if group_pattern else None
    except re.error as error:
        raise DataError(f"The group pattern '{group_pattern}' is no regular expression: {error}.") from error
    matched = 0
    for pair in pairs:
        match = pattern.search(pair.name) if pattern else None
        if match is None:
            groups[f"image {pair.image.as_posix()}"].append(pair)
            continue
        matched += 1
        found = match.groups(default="") if match.re.groups else (match.group(),)
        groups["group " + "\0".join(found)].append(pair)
    if pattern and pairs and not matched:
        raise DataError(
            f"The group pattern '{group_pattern}' matches no image name, such as '{pairs[0].name}'; correct it, or "
            "leave it unset to hold out single images."
        )
    return dict(groups)


def _sorted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted(pairs, key=lambda pair: pair.image))

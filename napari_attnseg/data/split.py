"""Which images are held out: whole images, whole stacks, whole groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError

_SAMPLE = 1 << 16  # bytes of an image that tell it from others of its size


@dataclass(frozen=True)
class Roles:
    """The images that a model was trained on, and those that were held out, as `image_digest` names them."""

    trained_on: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, train: Iterable[Pair], held_out: Iterable[Pair]) -> Roles:
        """Return the roles of a split."""
        return cls(
            frozenset(image_digest(pair.image) for pair in train),
            frozenset(image_digest(pair.image) for pair in held_out),
        )

    @classmethod
    def from_lists(cls, values: Mapping[str, Any]) -> Roles | None:
        """Read back what `to_lists` gave, such as a model card's `training`; None where that does not say it."""
        try:
            lists = [values[name] for name in ("trained_on", "held_out_images")]
            return cls(*(frozenset(str(item) for item in items) for items in lists))
        except (KeyError, TypeError):
            return None

    def to_lists(self) -> dict[str, list[str]]:
        """Return what JSON can hold."""
        return {"trained_on": sorted(self.trained_on), "held_out_images": sorted(self.held_out)}

    def followed_by(self, later: Roles) -> Roles:
        """Return the roles of a model that goes on from this one; what was ever trained on stays so."""
        trained_on = self.trained_on | later.trained_on
        return Roles(trained_on, (self.held_out | later.held_out) - trained_on)


def image_digest(path: Path) -> str:
    """Return 16 hexadecimal digits that name an image by its file's size and the bytes in its middle.

    By its content, since images are renamed and copied, and since folders of one microscope share names and sizes.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(size - _SAMPLE, 0) // 2)
            sample = file.read(_SAMPLE)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    return blake2b(sample, digest_size=8, key=str(size).encode()).hexdigest()


def split_pairs(
    pairs: Sequence[Pair],
    *,
    fraction: float,
    group_pattern: str | None = None,
    seed: int = 0,
    earlier: Roles | None = None,
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
    earlier
        The roles that images had for the starting model. A group keeps its role, and with one image that was trained
        on all of it is; only groups without a role are shared out, and one of these at least is trained on. With
        `fraction` 0 there is no measuring that roles could spoil, and all images are trained on.

    Returns
    -------
    tuple
        Pairs to train on and pairs held out, each sorted by path. None is held out of one group or with `fraction` 0.

    Raises
    ------
    DataError
        `group_pattern` matches no image, an image cannot be read, or all images were held out earlier.
    """
    groups = groups_of(pairs, group_pattern)
    if fraction <= 0 or (len(groups) < 2 and earlier is None):
        return _sorted(pairs), ()
    roles = {name: _role(members, earlier) for name, members in groups.items()}
    new = {name: members for name, members in groups.items() if roles[name] is None}
    chosen = {name for name, role in roles.items() if role == "held out"}
    if pairs and len(chosen) == len(groups):
        raise DataError(
            f"All {len(pairs)} annotated images were held out when the starting model was trained, so that none is "
            "left to learn from; annotate another image, or start with a new model."
        )
    wanted = fraction * len(pairs)
    held_out = [pair for name in sorted(chosen) for pair in groups[name]]
    share = max(wanted - len(held_out), 0) / max(sum(map(len, new.values())), 1)
    left = len(new)
    for name in _spread(new, share, np.random.default_rng(seed)):
        after = len(held_out) + len(groups[name])
        nearer = abs(after - wanted) < abs(len(held_out) - wanted)
        if (nearer or not chosen) and left > 1:
            held_out += groups[name]
            chosen.add(name)
            left -= 1
    train = [pair for name in sorted(groups) if name not in chosen for pair in groups[name]]
    return _sorted(train), _sorted(held_out)


def _role(members: Sequence[Pair], earlier: Roles | None) -> str | None:
    """Return what a group was for the starting model; None if that has not seen it."""
    if earlier is None:
        return None
    digests = {image_digest(pair.image) for pair in members}
    if digests & earlier.trained_on:
        return "trained on"
    return "held out" if digests & earlier.held_out else None


def _spread(groups: dict[str, list[Pair]], fraction: float, rng: np.random.Generator) -> list[str]:
    """Return the groups in the order in which they are considered for holding out.

    An image's file size tells kinds of images apart (smooth from textured, small from large) at no cost. The groups are
    sorted by it and cut into as many stretches as groups are wanted; one of each stretch comes first. A purely random
    choice often holds out most images of a rare kind, so that it is neither learnt nor fairly measured.
    """
    if not groups:
        return []
    names = sorted(groups, key=lambda name: (sum(map(_size, groups[name])) / len(groups[name]), name))
    count = min(max(1, round(fraction * len(names))), len(names))
    stretches = np.array_split(np.array(names, object), count)
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

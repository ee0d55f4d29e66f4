"""Who is held out when a training starts from a model that has seen some of the images; all worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.split import Roles, image_digest, split_pairs
from napari_attnseg.errors import DataError


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Twenty images, a0 to t0, each of its own bytes."""
    made = []
    for number in range(20):
        path = tmp_path / f"{chr(97 + number)}{number % 2}.tif"
        path.write_bytes(bytes([number]) * 1000)
        made.append(Pair(path, None))
    return made


def names(pairs: tuple[Pair, ...]) -> str:
    return "".join(pair.name[0] for pair in pairs)


def roles(train: list[Pair], held_out: list[Pair]) -> Roles:
    return Roles.of(train, held_out)


def test_roles_are_kept_and_new_images_fill_the_share(pairs: list[Pair]) -> None:
    earlier = roles(pairs[:8], pairs[8:10])  # a-h trained on, i and j held out
    train, held_out = split_pairs(pairs[:10], fraction=0.2, earlier=earlier)
    assert (names(train), names(held_out)) == ("abcdefgh", "ij")
    for seed in range(5):
        train, held_out = split_pairs(pairs, fraction=0.2, seed=seed, earlier=earlier)
        assert set("abcdefgh") <= set(names(train))
        assert set("ij") <= set(names(held_out))
        assert len(held_out) == 4  # 0.2 x 20: two of the ten new ones
        assert len(train) == 16


def test_nothing_new_is_held_out_where_enough_is(pairs: list[Pair]) -> None:
    earlier = roles(pairs[:2], pairs[2:10])
    train, held_out = split_pairs(pairs[:12], fraction=0.2, earlier=earlier)
    assert (names(train), names(held_out)) == ("abkl", "cdefghij")


def test_all_known_ones_trained_on(pairs: list[Pair]) -> None:
    earlier = roles(pairs[:10], [])
    train, held_out = split_pairs(pairs[:10], fraction=0.2, earlier=earlier)
    assert (len(train), held_out) == (10, ())
    train, held_out = split_pairs(pairs[:11], fraction=0.2, earlier=earlier)
    assert (names(train), held_out) == ("abcdefghijk", ()), "the only new image is learnt from"
    train, held_out = split_pairs(pairs[:12], fraction=0.2, earlier=earlier)
    assert len(held_out) == 1
    assert names(held_out) in "kl"
    train, held_out = split_pairs(pairs[:14], fraction=0.5, earlier=earlier)
    assert len(held_out) == 3, "7 are wanted, but one of the 4 new images is learnt from"
    assert set(names(held_out)) < set("klmn")


def test_one_is_held_out_however_small_the_share(pairs: list[Pair]) -> None:
    _, held_out = split_pairs(pairs, fraction=0.01, earlier=roles(pairs[:10], []))
    assert len(held_out) == 1
    assert names(held_out) in "klmnopqrst"


def test_a_model_of_other_images_splits_as_none_would(pairs: list[Pair]) -> None:
    earlier = Roles(frozenset({"0" * 16}), frozenset({"1" * 16}))
    assert split_pairs(pairs, fraction=0.3, seed=4, earlier=earlier) == split_pairs(pairs, fraction=0.3, seed=4)


def test_groups_stay_together(pairs: list[Pair]) -> None:
    # By the digit at the end: of group 0 one image was trained on, of group 1 one was held out.
    train, held_out = split_pairs(pairs, fraction=0.2, group_pattern=r"\d$", earlier=roles([pairs[0]], [pairs[1]]))
    assert {pair.name[1] for pair in train} == {"0"}
    assert {pair.name[1] for pair in held_out} == {"1"}
    # Of group 0 one was trained on and another held out: all of it is trained on.
    train, held_out = split_pairs(
        pairs, fraction=0.2, group_pattern=r"\d$", earlier=roles([pairs[0]], [pairs[2], pairs[1]])
    )
    assert {pair.name[1] for pair in train} == {"0"}


def test_without_a_share_all_are_trained_on(pairs: list[Pair]) -> None:
    assert split_pairs(pairs, fraction=0, earlier=roles([], pairs[:5]))[1] == ()


def test_nothing_left_to_learn_from_is_said(pairs: list[Pair]) -> None:
    with pytest.raises(DataError, match="All 3 annotated images were held out"):
        split_pairs(pairs[:3], fraction=0.2, earlier=roles([], pairs))


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    one, copy, other = tmp_path / "a.tif", tmp_path / "renamed.tif", tmp_path / "sub" / "a.tif"
    other.parent.mkdir()
    one.write_bytes(bytes(200_000))
    copy.write_bytes(one.read_bytes())
    other.write_bytes(bytes(100_000) + b"x" + bytes(99_999))
    assert image_digest(one) == image_digest(copy)
    assert image_digest(one) != image_digest(other), "the same name and size, other pixels"
    assert len(image_digest(one)) == 16
    longer = tmp_path / "b.tif"
    longer.write_bytes(bytes(200_001))
    assert image_digest(longer) != image_digest(one)
    (tmp_path / "empty.tif").touch()
    assert image_digest(tmp_path / "empty.tif")
    with pytest.raises(DataError, match=r"gone\.tif"):
        image_digest(tmp_path / "gone.tif")


def test_roles_of_a_chain_of_trainings() -> None:
    first = Roles(frozenset("ab"), frozenset("xy"))
    later = first.followed_by(Roles(frozenset("cx"), frozenset("z")))
    assert later == Roles(frozenset("abcx"), frozenset("yz")), "what was trained on once is never unseen again"
    assert Roles.from_lists({"epochs": 3, **later.to_lists()}) == later
    assert Roles.from_lists({"epochs": 3}) is None

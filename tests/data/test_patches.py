"""Patches: where they come from, that image and mask stay together, and that a step always gives the same ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_attnseg.data.augment import STRENGTHS, Augmenter
from napari_attnseg.data.patches import LoadedImage, PatchSampler


def coded(size: tuple[int, int], planes: int = 1, name: str = "a", value: int = 1) -> LoadedImage:
    """Return an image whose every pixel tells its own label: labels are `value` where the pixels exceed 0.5."""
    rng = np.random.default_rng(len(name))
    pixels = rng.random((planes, 1, *size)).astype(np.float16)
    return LoadedImage(name, pixels, np.where(pixels[:, 0] > 0.5, value, 0).astype(np.uint8))


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (20, 90), (5, 7), (1, 1)])
def test_image_and_mask_stay_together_at_every_size(size: tuple[int, int], flips: bool) -> None:
    batch = PatchSampler([coded(size)], size=32, foreground=0.5, seed=0).batch(0, 16, flips=flips)
    assert batch.images.shape == (16, 1, 32, 32)
    assert batch.images.dtype == np.float32
    assert np.array_equal(batch.images[:, 0] > 0.5, batch.labels == 1)
    assert batch.valid is None


def test_a_step_gives_the_same_patches_whatever_came_before() -> None:
    def sampler() -> PatchSampler:
        return PatchSampler([coded((64, 64)), coded((80, 50), 3, "b")], size=32, foreground=0.5, seed=3)

    first, second = sampler(), sampler()
    for step in range(5):
        first.batch(step, 4, flips=True)
    again, other = first.batch(2, 4, flips=True), second.batch(2, 4, flips=True)
    assert np.array_equal(again.images, other.images)
    assert not np.array_equal(again.images, second.batch(3, 4, flips=True).images)


def test_rare_foreground_is_found() -> None:
    labels = np.zeros((1, 512, 512), np.uint8)
    labels[0, 300:303, 40:43] = 1
    image = LoadedImage("a", np.zeros((1, 1, 512, 512), np.float16), labels)

    def share(foreground: float) -> float:
        sampler = PatchSampler([image], size=32, foreground=foreground, seed=0)
        return float(np.mean([patch.any() for patch in sampler.batch(0, 200, flips=True).labels]))

    assert share(0.0) < 0.1
    assert share(1.0) == pytest.approx(1.0, abs=0.05)


def test_every_class_has_the_same_chance() -> None:
    labels = np.ones((1, 256, 256), np.uint8)
    labels[0, :12, :12] = 2
    image = LoadedImage("a", np.zeros((1, 1, 256, 256), np.float16), labels)
    batch = PatchSampler([image], size=32, foreground=1.0, seed=0).batch(0, 300, flips=False)
    assert np.mean([(patch == 2).any() for patch in batch.labels]) > 0.45


def test_pixels_that_do_not_count_travel_with_the_patch() -> None:
    image = coded((64, 64))
    image = LoadedImage("a", image.pixels, image.labels, image.labels == 1)
    batch = PatchSampler([image, coded((64, 64))], size=32, foreground=0.0, seed=0).batch(0, 16, flips=True)
    assert batch.valid is not None
    whole = batch.valid.all(axis=(1, 2))
    assert 0 < whole.sum() < 16
    assert np.array_equal(batch.valid[~whole], batch.labels[~whole] == 1)


@pytest.mark.parametrize("level", STRENGTHS)
def test_augmentation_moves_image_and_mask_alike(level: str) -> None:
    augment = Augmenter(level, 48)
    side = augment.source_size
    labels = torch.zeros(8, side, side, dtype=torch.long)
    labels[:, side // 3 : side // 2, side // 4 : side // 2] = 2
    images = (labels > 0).float()[:, None]
    torch.manual_seed(0)
    moved, moved_labels, valid = augment(images, labels, torch.ones(8, side, side, dtype=torch.bool))
    assert moved.shape == (8, 1, 48, 48)
    assert moved_labels.shape == (8, 48, 48)
    assert set(moved_labels.unique().tolist()) <= {0, 2}
    assert valid is not None
    assert valid.all()
    threshold = (moved.amax((1, 2, 3), keepdim=True) + moved.amin((1, 2, 3), keepdim=True)) / 2
    agree = ((moved > threshold)[:, 0] == (moved_labels == 2)).float().mean((1, 2))
    assert agree.min().item() > 0.97
    assert not torch.equal(moved_labels[0], moved_labels[1])


@pytest.mark.parametrize(
    ("level", "low", "high", "expected"),
    [
        ("default", None, None, (0.4, 1.0)),
        ("default", 0.75, 1.25, (0.75, 1.25)),
        ("strong", 0.5, None, (0.5, 1.4)),
        ("default", 1.5, None, (1.5, 1.5)),
        ("default", None, 0.3, (0.3, 0.3)),
    ],
)
def test_zooms_take_the_place_of_the_level_s(
    level: str, low: float | None, high: float | None, expected: tuple[float, float]
) -> None:
    augment = Augmenter(level, 48, min_zoom=low, max_zoom=high)
    assert augment.strength is not None
    turn_off = replace(augment.strength, turn=0.0)
    side = augment.source_size
    assert side == int(np.ceil(48 / expected[0]))
    labels = torch.zeros(64, side, side, dtype=torch.long)
    quarter = slice(side // 2 - 6, side // 2 + 6)
    labels[:, quarter, quarter] = 1
    augment.strength = turn_off
    torch.manual_seed(0)
    shown = augment(labels[:, None].float(), labels, None)[1].sum((1, 2)).sqrt() / 12
    assert abs(shown.min().item() - expected[0]) < 0.1
    assert abs(shown.max().item() - expected[1]) < 0.1


def test_no_augmentation_changes_nothing() -> None:
    augment = Augmenter("none", 16)
    images, labels = torch.rand(2, 1, 16, 16), torch.zeros(2, 16, 16, dtype=torch.long)
    assert augment.source_size == 16
    assert augment(images, labels, None) == (images, labels, None)


def plain(value: float) -> LoadedImage:
    """Return an image of one brightness, by which its patches are recognised; half of it is foreground."""
    labels = np.zeros((1, 40, 40), np.uint8)
    labels[:, :20] = 1
    return LoadedImage(str(value), np.full((1, 1, 40, 40), value, np.float16), labels)


@pytest.mark.parametrize("foreground", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_patches_comes_from_the_images_in_focus(share: float, foreground: float) -> None:
    images = [plain(0.25), plain(0.5), plain(0.75), plain(1.0)]
    sampler = PatchSampler(images, size=16, foreground=foreground, seed=1, focus=[1], focus_share=share)
    found = sampler.batch(0, 1000, flips=True).images[:, 0, 0, 0]
    assert np.mean(found == 0.5) == pytest.approx(share, abs=0.05)
    others = [float(np.mean(found == value)) for value in (0.25, 0.75, 1.0)]
    assert others == pytest.approx([(1 - share) / 3] * 3, abs=0.05)


def test_a_focus_on_all_or_none_is_no_focus() -> None:
    images = [plain(0.25), plain(0.5)]
    for focus in ((), (0, 1)):
        sampler = PatchSampler(images, size=16, foreground=0.5, seed=1, focus=focus, focus_share=1.0)
        assert np.mean(sampler.batch(0, 400, flips=True).images == 0.25) == pytest.approx(0.5, abs=0.08)

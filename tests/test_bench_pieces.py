"""What the benchmark's figures are made of: turns, ratios, tables, features, lessons, plain loops."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.peers.arrays import batch_of, lesson_patches, padded, read_rgb, write_mask
from benchmarks.peers.features import pixel_features, sampled_pixels
from benchmarks.peers.forest import Forest
from benchmarks.peers.known import LEARNERS, NETWORKS, OURS
from benchmarks.peers.torch_networks import TorchPeer, dice_bce
from benchmarks.peers.windows import slide_last
from benchmarks.quality.lesson import Lesson, write_lesson
from benchmarks.quality.minutes import ahead
from benchmarks.speed.comparison import is_of_like_size
from benchmarks.tables import against, columns, row
from benchmarks.turns import in_turns, ratio

RNG = np.random.default_rng(0)


def test_turns_go_there_and_back() -> None:
    order: list[str] = []

    def action(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turns({name: lambda name=name: action(name) for name in "abc"}, 2)  # type: ignore[misc]
    assert "".join(order) == "abccba"
    assert found == {"a": [1, 6], "b": [2, 5], "c": [3, 4]}


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([2.0, 40.0, 3.0], [1.0, 10.0, 1.0]) == 3.0
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_what_is_lost_is_called_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert (against(1.239), against(0.9)) == ("1.24", "0.90: **lost**")
    assert against(1.239, 1.8) == "1.24: **missed**, to reach 1.8"
    assert against(2.0, 1.8) == "2.00"
    assert ahead(0.9, [0.8, None, 0.85]) == "by 0.050"
    assert ahead(0.8, [0.85]) == "**lost** by 0.050"
    columns("who", "how fast")
    row("ours", against(1.0))
    assert capsys.readouterr().out == "\n| who | how fast |\n|-|-|\n| ours | 1.00: **lost** |\n"


def test_who_is_of_like_size() -> None:
    ours = {"multiply_adds": 12.0}
    assert is_of_like_size({"multiply_adds": 6.0}, ours)
    assert not is_of_like_size({"multiply_adds": 25.0}, ours)


def test_everyone_has_a_name_of_his_own() -> None:
    for kinds in ((OURS, *NETWORKS), LEARNERS):
        assert len({kind.name for kind in kinds}) == len({kind.title for kind in kinds}) == len(kinds)


def test_the_samples_are_taken_where_no_data_are_given(tmp_path: Path) -> None:
    def asked(data: Path | None) -> Asked:
        return Asked(rounds=1, threads=1, minutes=(1.0,), sides=(64,), peers=(), data=data, chosen_model=None)

    assert asked(None).train.is_dir()
    assert asked(None).valid.name == "test"
    (tmp_path / "valid").mkdir()
    assert asked(tmp_path).valid == tmp_path / "valid"


def test_a_mosaic_of_the_samples(tmp_path: Path) -> None:
    parts = segments(Asked(1, 1, (1.0,), (64,), (), None, None).train)
    assert all(part.shape == (512, 512, 3) for part in parts)
    write_mosaic(tmp_path / "a.tif", 600, parts)
    image = read_rgb(str(tmp_path / "a.tif"))
    assert image.shape == (3, 600, 600)
    assert 0 <= image.min() < image.max() <= 1
    write_mask(str(tmp_path), "x/a.tif", image[0] > 0.5)
    assert np.array_equal(tifffile.imread(tmp_path / "a_PRED.tif") == 255, image[0] > 0.5)


def test_images_are_filled_up_and_batches_are_the_same_for_all() -> None:
    image = RNG.random((3, 40, 64), np.float32)
    assert padded(image).shape == (3, 64, 64)
    assert np.array_equal(padded(image)[:, :40], image)
    one, other = batch_of(32, 2, 3), batch_of(32, 2, 3)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[0].shape == (2, 3, 32, 32)
    assert set(np.unique(one[1])) == {0.0, 1.0}


@pytest.mark.parametrize("size", [(96, 80), (40, 96), (20, 24), (64, 32)])
def test_windows_say_what_the_whole_says(size: tuple[int, int]) -> None:
    image = RNG.random((*size, 3), np.float32)
    seen: list[int] = []

    def network(windows: np.ndarray) -> np.ndarray:
        seen.append(len(windows))
        assert windows.shape[1:] == (32, 32, 3)
        return windows.mean(axis=-1)

    found = slide_last(image, network, tile=32)
    assert np.allclose(found, image.mean(axis=-1), atol=1e-5)
    assert max(seen) <= 4


def test_the_peak_is_that_of_a_process_alone_and_not_of_a_moment() -> None:
    block = bytearray(600_000_000)  # of the parent, which is not to be counted in
    code = "from benchmarks.peak import peak_memory; b = b'1' * 200_000_000; del b; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert len(block) * 2 / 3 > float(done.stdout) * 2**30 > 200_000_000


def test_pixels_are_sampled_from_both_classes() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:2] = 1
    chosen = sampled_pixels(mask, 100, RNG)
    assert len(set(chosen)) == len(chosen) == 90
    assert mask.ravel()[chosen].sum() == 40
    assert len(sampled_pixels(np.zeros((5, 5), np.uint8), 20, RNG)) == 10


def test_features_are_for_each_pixel_and_see_its_surroundings() -> None:
    image = np.zeros((2, 30, 40), np.float32)
    image[0, 15, 20] = 1
    found = pixel_features(image)
    assert found.shape[:2] == (30, 40)
    assert found.dtype == np.float32
    assert np.abs(found[15, 24]).sum() > np.abs(found[2, 2]).sum()


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Return a lesson on bright squares."""
    folder = tmp_path_factory.mktemp("lesson")
    for part, count in (("train", 6), ("val", 2)):
        (folder / part).mkdir()
        for number in range(count):
            mask = np.zeros((96, 80), np.uint8)
            mask[20 + 4 * number : 60 + 4 * number, 10:50] = 255
            noise = RNG.integers(0, 60, (96, 80, 3))
            image = (noise + (mask[..., None] > 0) * 150).astype(np.uint8)
            tifffile.imwrite(folder / part / f"image{number}.tif", image, photometric="rgb")
            tifffile.imwrite(folder / part / f"image{number}_MASK.tif", mask)
    return write_lesson(folder / "train", folder / "val", folder / "lesson", batches=3)


def test_a_lesson_is_what_our_training_sees(lesson: Lesson) -> None:
    batches = lesson_patches(str(lesson.folder))
    first, masks = next(batches)
    assert lesson.channels == 3
    assert first.shape == (16, 3, 64, 64)
    assert 0 <= first.min() < first.max() <= 1
    assert set(np.unique(masks)) == {0.0, 1.0}
    assert first.mean(axis=1)[masks == 1].mean() > first.mean(axis=1)[masks == 0].mean() + 0.2
    for _ in range(2):
        next(batches)
    assert np.array_equal(next(batches)[0], first)  # from the start again
    assert 0 < lesson.learnt < 6  # the others are held out by our training
    assert len(list((lesson.folder / "images").iterdir())) == lesson.learnt


def test_the_score_of_a_lesson(lesson: Lesson, tmp_path: Path) -> None:
    truths = list(lesson.truths.values())
    files = [str(tmp_path / f"{number}.npy") for number in range(2)]
    for path, truth in zip(files, truths, strict=True):
        np.save(path, truth.astype(np.float32))
    assert lesson.f1(files) == 1.0
    np.save(files[1], np.zeros_like(truths[1], np.float32))
    assert lesson.f1(files) == 0.5


def test_a_forest_learns_the_squares(lesson: Lesson, tmp_path: Path) -> None:
    forest = Forest()
    assert json.dumps(forest.prepare(widths=[8], threads=1, device="cpu"))
    forest.begin(lesson=str(lesson.folder))
    assert forest.probabilities(images=list(lesson.truths), out=str(tmp_path)) is None
    while (found := forest.probabilities(images=list(lesson.truths), out=str(tmp_path))) is None:
        forest.learn(seconds=0.01)
    assert lesson.f1(found) > 0.9


def test_a_plain_loop_learns_the_squares(lesson: Lesson, tmp_path: Path) -> None:
    def build(channels: int, widths: object) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))

    threads = torch.get_num_threads()
    peer = TorchPeer(build)
    about = peer.prepare(widths=[4], threads=threads, device="cpu")
    assert about["parameters"] == 3 * 4 * 9 + 4 + 4 + 1
    assert about["multiply_adds"] == 256**2 * (3 * 4 * 9 + 4)
    assert peer.train(size=32, batch=2, steps=1) > 0
    peer.begin(lesson=str(lesson.folder))
    for group in peer._optimiser.param_groups:
        group["lr"] = 0.05  # a step or two must do
    found: list[str] | None = None
    for _ in range(10):
        peer.learn(seconds=0.1)
        found = peer.probabilities(images=list(lesson.truths), out=str(tmp_path))
    assert found is not None
    assert lesson.f1(found) > 0.9


def test_the_peers_loss_is_smallest_for_the_truth() -> None:
    masks = (torch.rand(2, 8, 8) > 0.5).float()
    sure = (masks * 2 - 1) * 20
    assert float(dice_bce(sure, masks)) < 0.01 < float(dice_bce(torch.zeros_like(masks), masks))
    assert float(dice_bce(-sure, masks)) > 10

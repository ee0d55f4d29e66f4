"""Many images predicted one after the other, while others are read and finished."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError, SaveError
from napari_attnseg.prediction import to_files
from napari_attnseg.prediction.many import is_small
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.prediction.to_files import predict_many_to_files, predict_to_files
from napari_attnseg.training.scoring import score_pair, score_pairs
from tests.prediction.test_predictor import BINARY, model, predictor

PLENTY = 8 << 30
SECONDS = 20


@pytest.fixture
def used(tmp_path: Path) -> Predictor:
    return predictor(model(tmp_path / "m.safetensors"), probability=True)


def images(folder: Path, *shapes: tuple[int, ...]) -> dict[Path, Path]:
    """Write images of noise, and return each with the folder for what is predicted."""
    out = folder / "out"
    out.mkdir()
    made = {}
    for number, shape in enumerate(shapes):
        path = folder / f"{number}.tif"
        noise = np.random.default_rng(number).integers(0, 4096, shape, np.uint16)
        tifffile.imwrite(path, noise, imagej=True, metadata={"axes": "ZYX"[-noise.ndim :]})
        made[path] = out
    return made


def passes(used: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return a list of what goes through the network: (plane, y, x) of each group."""
    seen: list[tuple[int, ...]] = []
    predict = used.predict_planes

    def noted(planes: Any, **options: Any) -> Any:
        seen.append((len(planes), *planes.shape[2:]))
        return predict(planes, **options)

    monkeypatch.setattr(used, "predict_planes", noted)
    return seen


def names(found: list[Any]) -> list[str]:
    return [one.item.name for one in found]


def test_images_of_one_size_share_passes_and_are_as_predicted_one_by_one(
    used: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = images(tmp_path, (40, 40), (40, 40), (40, 56), (40, 40), (40, 40), (3, 40, 56), (40, 40))
    (tmp_path / "single").mkdir()
    for image in folders:
        predict_to_files(used, image, tmp_path / "single")
    seen = passes(used, monkeypatch)
    found = list(predict_many_to_files(used, folders))
    assert seen == [(4, 40, 40), (4, 40, 56), (1, 40, 40)]
    assert names(found) == ["0.tif", "1.tif", "3.tif", "4.tif", "2.tif", "5.tif", "6.tif"]
    for one in found:
        assert one.error is None
        assert one.result is not None
        for path in one.result:
            ours, single = (read_image(folder / path.name) for folder in (tmp_path / "out", tmp_path / "single"))
            assert ours.pixels.shape == single.pixels.shape
            if path.name.endswith("_PROB.tif"):
                np.testing.assert_allclose(ours.pixels, single.pixels, atol=1e-5)
    assert len(list((tmp_path / "out").glob("*_PRED.tif"))) == 7


def test_an_image_that_cannot_be_used_is_told_in_its_place(used: Predictor, tmp_path: Path) -> None:
    folders = images(tmp_path, (40, 40), (40, 40), (40, 40))
    (tmp_path / "1.tif").write_bytes(b"II*\0 and no more")
    found = list(predict_many_to_files(used, folders))
    assert sorted(names(found)) == ["0.tif", "1.tif", "2.tif"]
    errors = {one.item.name: one.error for one in found}
    assert isinstance(errors["1.tif"], DataError)
    assert errors["0.tif"] is None
    assert errors["2.tif"] is None
    assert sorted(path.name for path in (tmp_path / "out").glob("*_PRED.tif")) == ["0_PRED.tif", "2_PRED.tif"]


def test_the_next_is_read_and_the_last_written_while_one_is_computed(
    used: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used.tiling.batch_size = 1
    folders = images(tmp_path, (40, 40), (40, 40), (40, 40))
    is_read, is_computed, is_over = (threading.Event() for _ in range(3))
    predict, read, write = used.predict_planes, to_files._read_whole, to_files._write_whole
    count = 0

    def computing(planes: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == 1:
            assert is_read.wait(SECONDS), "the second image is not read before the first is computed"
        if count == 2:
            is_computed.set()
            assert is_over.wait(SECONDS), "the first image is not written before the second is computed"
        return predict(planes, **options)

    def reading(one: Predictor, path: Path, digest: str) -> Any:
        if path.name == "1.tif":
            is_read.set()
        return read(one, path, digest)

    def writing(*arguments: Any) -> Any:
        assert is_computed.wait(SECONDS), "the second image is not computed before the first is written"
        is_over.set()
        return write(*arguments)

    monkeypatch.setattr(used, "predict_planes", computing)
    monkeypatch.setattr(to_files, "_read_whole", reading)
    monkeypatch.setattr(to_files, "_write_whole", writing)
    found = list(predict_many_to_files(used, folders))
    assert names(found) == ["0.tif", "1.tif", "2.tif"]
    assert not any(one.error for one in found)


def test_what_is_computed_is_written_before_it_stops(used: Predictor, tmp_path: Path) -> None:
    used.tiling.batch_size = 1
    folders = images(tmp_path, *[(40, 40)] * 5)
    told: list[float] = []

    def tell(path: Path, number: int, share: float, large: object) -> None:
        told.append(number + share)

    found = predict_many_to_files(used, folders, tell, lambda: told[-1:] >= [2])
    assert names([next(found), next(found)]) == ["0.tif", "1.tif"]
    with pytest.raises(Stopped):
        next(found)
    assert sorted(path.name for path in (tmp_path / "out").glob("*_PRED.tif")) == ["0_PRED.tif", "1_PRED.tif"]
    assert told == sorted(told)


def test_a_disk_that_is_full_ends_it(used: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> Any:
        raise SaveError("The disk is full.")

    folders = images(tmp_path, (40, 40), (40, 40))
    monkeypatch.setattr(to_files, "write_prediction", full)
    with pytest.raises(SaveError, match="full"):
        list(predict_many_to_files(used, folders))


@pytest.mark.parametrize(("free", "way"), [(PLENTY, "ahead"), (16 << 20, "alone"), (4 << 20, "tile by tile")])
def test_an_image_is_read_before_its_turn_only_where_there_is_room_for_several(
    used: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, way: str
) -> None:
    threads: dict[str, set[str]] = {}
    read_whole = to_files._read_whole

    def noted(one: Predictor, path: Path, digest: str) -> Any:
        threads.setdefault(path.name, set()).add(threading.current_thread().name)
        return read_whole(one, path, digest)

    monkeypatch.setattr(to_files, "_read_whole", noted)
    folders = images(tmp_path, (300, 400), (40, 40), (300, 400))
    info = read_info(tmp_path / "0.tif")
    assert is_small(used, info, lambda: free) == (free == PLENTY)
    told: list[tuple[str, float]] = []

    def tell(path: Path, number: int, share: float, large: object) -> None:
        assert path.name == f"{number}.tif" or free == PLENTY
        told.append((path.name, number + share))

    found = list(predict_many_to_files(used, folders, tell, free=lambda: free))
    assert [one.error for one in found] == [None] * 3
    assert told[-1][1] == 3
    alone = {name for name, found in threads.items() if found == {threading.current_thread().name}}
    assert alone == ({"0.tif", "2.tif"} if way == "alone" else set())
    assert set(threads) == ({"1.tif"} if way == "tile by tile" else {"0.tif", "1.tif", "2.tif"})
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert {path.name for path in (tmp_path / "out").glob("*_PRED.tif")} == {"0_PRED.tif", "1_PRED.tif", "2_PRED.tif"}


def test_objects_are_tidied_in_each(tmp_path: Path) -> None:
    used = predictor(model(tmp_path / "m.safetensors"), min_size=41 * 41)
    folders = images(tmp_path, (40, 40), (40, 40))
    for one in predict_many_to_files(used, folders):
        assert one.result is not None
        assert not read_image(one.result[0]).pixels.any()


def _pairs(folder: Path, *shapes: tuple[int, int]) -> list[Pair]:
    pairs = []
    for path in images(folder, *shapes):
        mask = path.with_name(f"{path.stem}_MASK.tif")
        tifffile.imwrite(mask, np.where(tifffile.imread(path) > 2048, 255, 0).astype(np.uint8))
        pairs.append(Pair(path, mask))
    return pairs


def test_scores_of_many_are_in_the_order_asked_for(used: Predictor, tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, (40, 40), (40, 56), (40, 40), (56, 40))
    told: list[str] = []
    found = score_pairs(used, pairs, BINARY, lambda pair, number, share: told.append(pair.name), lambda: False)
    assert [one.name for one in found] == ["0", "1", "2", "3"]
    assert told[0] == "0"
    assert set(told) == {"0", "1", "2", "3"}
    for one, pair in zip(found, pairs, strict=True):
        alone = score_pair(used, pair, BINARY, lambda: False)
        assert np.abs(one.matrix - alone.matrix).sum() <= 4
        assert one.matrix.sum() == np.prod(read_info(pair.image).shape)
        assert one.seconds is not None
        assert one.seconds > 0


def _no_memory(*_: Any, **__: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize(
    ("break_one", "says"),
    [
        (lambda used, pair: pair.mask.write_bytes(b"no mask"), "1_MASK.tif"),
        (lambda used, pair: used.__dict__.update(predict_together=_no_memory), "too large for this computer's memory"),
    ],
)
def test_an_image_that_cannot_be_scored_is_named(
    used: Predictor, tmp_path: Path, break_one: Callable[[Predictor, Pair], Any], says: str
) -> None:
    pairs = _pairs(tmp_path, (40, 40), (40, 56))
    break_one(used, pairs[1])
    with pytest.raises(DataError, match=says):
        score_pairs(used, pairs, BINARY, lambda pair, number, share: None, lambda: False)

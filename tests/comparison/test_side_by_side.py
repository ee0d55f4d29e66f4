"""Models that are evaluated beside each other: all on the same masks, and images told apart by their folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.comparison.scoring import score_run, titled
from napari_attnseg.data.pairs import Pair
from napari_attnseg.engine import evaluate, fit
from napari_attnseg.errors import DataError
from napari_attnseg.events import ignore_event
from napari_attnseg.settings import DataSettings
from napari_attnseg.training import scoring
from napari_attnseg.training.evaluation import Evaluation, score_image
from tests.comparison.page_content import PageContent
from tests.conftest import TINY, blobs
from tests.prediction.test_predictor import model

ON_CPU = ["--device", "cpu", "--precision", "float32"]


def fill(folder: Path, names: list[str], *suffixes: str) -> Path:
    """Put images into a folder, with a mask of its own for each suffix, as several people paint them."""
    for number, name in enumerate(names):
        image = folder / f"{name}.tif"
        image.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(image, blobs(number)[0])
        for person, suffix in enumerate(suffixes):
            tifffile.imwrite(image.with_name(f"{image.stem}{suffix}.tif"), blobs(number + 50 * person)[1] * 255)
    return folder


def model_for(path: Path, suffix: str) -> Path:
    return model(path, name="unet", data=DataSettings(mask_suffix=suffix))


def images_in(path: Path) -> list[str]:
    return [row["Image"] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


def test_models_of_two_annotators_are_measured_on_the_same_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = fill(tmp_path / "data", ["a", "b"], "_MASK", "_seg")
    models = [str(model_for(tmp_path / f"{name}.safetensors", f"_{name}")) for name in ("MASK", "seg", "mask")]
    scores = tmp_path / "scores.json"
    ask = ["evaluate", *models[:2], str(data), "--json", str(scores), *ON_CPU]
    assert main(ask) == 1
    output = capsys.readouterr()
    assert all(word in output.err for word in ("MASK has learnt from masks", "_seg", "--mask-suffix")), output.err
    assert not output.out, "said before anything was predicted"
    assert not scores.exists()
    for suffix in ("_MASK", "_seg"):
        assert main([*ask, "--mask-suffix", suffix]) == 0
    assert main(["evaluate", models[0], models[2], str(data), *ON_CPU]) == 0, "these name the same files"


def test_masks_that_only_one_model_would_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [str(model_for(tmp_path / f"{name}.safetensors", f"_{name}")) for name in ("MASK", "seg")]
    data = fill(tmp_path / "data", ["a", "b"], "_MASK")
    assert main(["evaluate", *models, str(data)]) == 1
    assert "--mask-suffix" in capsys.readouterr().err
    assert main(["evaluate", *models, str(data), "--mask-suffix", "_seg"]) == 1
    assert "No image in" in capsys.readouterr().err


def test_images_of_one_name_are_told_by_their_folders(tmp_path: Path) -> None:
    names = ["monday/cell", "tuesday/cell", "tuesday/other"]
    data = fill(tmp_path / "data", names, "_MASK")
    models = [str(model(tmp_path / f"{number}.safetensors", name="unet")) for number in range(2)]
    table, report = tmp_path / "scores.csv", tmp_path / "report"
    called = ["monday/cell", "tuesday/cell", "other"]
    assert main(["evaluate", *models, str(data), "--out", str(table), "--report", str(report), *ON_CPU]) == 0
    assert images_in(table) == images_in(report / "scores.csv") == called * 2
    text = PageContent(report / "report.html").text
    assert all(f": {name}. Above" in text for name in called), text


def test_what_cannot_be_scored_is_left_out_for_all_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image is damaged; another one is too large for the memory when the second model's turn has come."""
    data = fill(tmp_path / "data", ["a", "b", "c", "d"], "_MASK")
    (data / "b.tif").write_bytes((data / "b.tif").read_bytes()[:-200])
    fill(data, ["e", "more/d"], "_MASK")
    for name in ("e_MASK.tif", "more/d.tif"):
        (data / name).write_bytes(b"II*")
    models = [str(model(tmp_path / f"{number}.safetensors", name="unet")) for number in range(2)]
    table, scores, report = tmp_path / "s.csv", tmp_path / "s.json", tmp_path / "report"
    command = ["evaluate", *models, str(data), "--out", str(table), "--json", str(scores), "--report", str(report)]
    read, asked = scoring.read_image, []

    def read_image(path: Path, axes: str | None = None) -> Any:
        asked.append(path.name)
        if path.name == "c.tif" and asked.count("c.tif") > 1:
            raise MemoryError
        return read(path, axes)

    monkeypatch.setattr(scoring, "read_image", read_image)
    assert main([*command, *ON_CPU]) == 1
    output = capsys.readouterr()
    assert "4 of 6 images could not be scored, and are in none of the figures: e_MASK.tif" in output.err
    assert "4 more images with masks could not be scored" in PageContent(report / "report.html").text
    assert "2 images, mean" in output.out
    assert asked.count("b.tif") == 1, "what one model cannot be scored on is not read for the next"
    assert images_in(table) == images_in(report / "scores.csv") == ["a", "d"] * 2
    found = json.loads(scores.read_text())
    assert [one["images"] for one in found["models"]] == [2, 2]
    assert len(found["failed"]) == 4
    assert all(
        any(word in one for one in found["failed"]) for word in ("b.tif", "c is too large", "e_MASK.tif", "d.tif")
    )
    (data / "a.tif").write_bytes(b"II*")
    (data / "d.tif").write_bytes(b"II*")
    assert main([*command, *ON_CPU]) == 1
    assert "No image could be scored: " in capsys.readouterr().err
    with pytest.raises(DataError, match=r"e_MASK\.tif"):
        evaluate(models[0], data, device="cpu")


def test_a_comparison_tells_images_of_one_name_apart_too(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", ["monday/cell", "tuesday/cell", "tuesday/other"], "_MASK")
    apart = fill(tmp_path / "apart", ["cell"], "_MASK")
    values = {**TINY, "epochs": 1}
    fit(data, tmp_path / "run", **values, seed=1)
    held_out = json.loads((tmp_path / "run" / "run.json").read_text())["split"]["held_out"]
    path = Path(held_out[0]["image"]).with_suffix("").relative_to(data.resolve())
    fit(data, tmp_path / "other", **values, val=apart)
    for run, name in (("run", path.name if path.name == "other" else path.as_posix()), ("other", "cell")):
        score_run(tmp_path / run, ignore_event, lambda: False)
        assert images_in(tmp_path / run / "scores.csv") == [name]
        assert [image["name"] for image in json.loads((tmp_path / run / "scores.json").read_text())["images"]] == [name]


def test_titles_of_images(tmp_path: Path) -> None:
    truth = blobs(0)[1][None]

    def called(files: list[str], others: tuple[str, ...] = ()) -> list[str]:
        pairs = [Pair(tmp_path / file, None) for file in files]
        found = Evaluation(tuple(score_image(pair.name, truth, truth, 2) for pair in pairs), ("background", "cell"))
        beside = [Pair(tmp_path / file, None) for file in others]
        return [image.name for image in titled(found, pairs, tmp_path / "data", beside).images]

    assert called(["data/a.tif", "data/deep/b.ome.tif"]) == ["a", "b"]
    assert called(["data/a.tif", "data/deep/a.ome.tif", "data/b.tif"]) == ["a", "deep/a", "b"]
    assert called(["data/deep/a.tif"], ("data/a.tif",)) == ["deep/a"], "another one is learnt from"
    linked = (tmp_path / "elsewhere" / "a").as_posix()
    assert called(["data/deep/a.tif", "elsewhere/a.tif"]) == ["deep/a", linked], "a link led out of the folder"

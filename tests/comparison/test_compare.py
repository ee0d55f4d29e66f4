"""`compare` end to end: real child processes that are stopped and killed, asked again, and the report."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.comparison.alone import alone_in
from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.preparing import prepare
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.errors import DataError
from napari_attnseg.events import ignore_event
from tests.comparison.page_content import PageContent
from tests.conftest import blobs

TINY = ["--widths", "4", "8", "--patch-size", "32", "--batch-size", "4", "--steps-per-epoch", "2", "--device", "cpu"]
MODELS = ("attention_se_unet", "unet")
EPOCHS = 10
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send to a child"),
    pytest.mark.timeout(300),
]


def compare(*arguments: object) -> int:
    try:
        return main(["compare", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


def fill(folder: Path, names: list[str], classes: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        image, labels = blobs(number, classes=classes)
        tifffile.imwrite(folder / f"{name}.tif", image)
        tifffile.imwrite(folder / f"{name}_MASK.tif", labels if classes > 1 else labels * 255)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def once(there: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as a file is there."""

    def watch() -> None:
        for _ in range(60_000):
            if there.exists():
                with suppress(ProcessLookupError):
                    act()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def kill_child(run: Path) -> None:
    os.kill(json.loads((run / "job.json").read_text())["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that was stopped, then had a training fail and another killed, and then came to its end."""
    folder = tmp_path_factory.mktemp("comparison")
    out = folder / "out"
    data = fill(folder / "data", [f"cell{number}" for number in range(5)])
    ask = [data, "--models", *MODELS, "--repeats", 2, "--epochs", EPOCHS, *TINY, "--out", out]
    first, second, third, fourth = (
        out / "runs" / f"{model}-dice_bce-seed{seed}" for seed in (0, 1) for model in MODELS
    )

    stop = once(first / "job.json", lambda: os.kill(os.getpid(), signal.SIGINT))
    assert compare(*ask) == 130
    stop.join()
    assert not any((run / "scores.json").exists() for run in (first, second, third, fourth))
    assert not (second / "job.json").exists()
    assert not (out / "report.html").exists()

    (second / "run.json").write_text("{}")
    kill = once(third / "state.pt", lambda: kill_child(third))
    assert compare(*ask) == 1
    kill.join()
    failures = json.loads((out / "comparison.json").read_text())["failures"]
    assert "is not the run.json of a run" in failures[second.name]
    assert "was killed" in failures[third.name]
    assert failures[fourth.name] == f"Not tried, since the same settings failed at once in {second.name}."
    assert not (fourth / "job.json").exists()
    page = PageContent(out / "report.html")
    assert [row for row in page.rows if row[0] in failures] == [list(item) for item in failures.items()]
    assert [(row["Model"], row["Seed"]) for row in rows_of(out / "scores.csv")] == [(MODELS[0], "0")]

    shutil.rmtree(second)  # it is made anew, with the split that was recorded
    assert main(["train", str(fourth / "run.json")]) == 0  # trained elsewhere, such as on a cluster: it is scored only
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    assert compare(*ask) == 0
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()} == before
    assert "Resumed after epoch" in (third / "events.jsonl").read_text()
    assert not (fourth / "job.json").exists()
    assert all(len((run / "metrics.csv").read_text().splitlines()) == EPOCHS + 1 for run in (second, third, fourth))
    return out


def test_all_runs_learn_from_the_same_split_with_seeds_of_their_own(comparison: Path) -> None:
    record = json.loads((comparison / "comparison.json").read_text())
    assert record["failures"] == {}
    assert len(record["splits"]) == 1
    plans = [json.loads((comparison / "runs" / name / "run.json").read_text()) for name in record["runs"]]
    assert len(plans) == 4
    assert all(plan["split"] == record["splits"][0] for plan in plans)
    held_out = [Path(pair["image"]).stem for pair in record["splits"][0]["held_out"]]
    assert len(held_out) == 1
    assert sorted(plan["seed"] for plan in plans) == [0, 0, 1, 1]
    scores = [rows_of(comparison / "runs" / name / "scores.csv") for name in record["runs"]]
    assert all([row["Image"] for row in rows] == held_out for rows in scores)


def test_the_tables_hold_what_the_runs_scored(comparison: Path) -> None:
    each = rows_of(comparison / "scores.csv")
    assert [(row["Model"], row["Seed"]) for row in each] == [(model, seed) for model in MODELS for seed in ("0", "1")]
    for row in rows_of(comparison / "summary.csv"):
        values = [float(one["F1"]) for one in each if one["Model"] == row["Model"]]
        assert float(row["F1 mean"]) == pytest.approx(np.mean(values), abs=1e-6)
        assert float(row["F1 sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-6)
        assert (row["Repeats"], row["Images"]) == ("2", "1")
        assert int(row["Parameters"]) > 1000
        assert float(row["Images per second"]) > 0
        assert float(row["Peak memory (MB)"]) > 10
    best = [
        json.loads(line) for line in (comparison / "runs/unet-dice_bce-seed0/events.jsonl").read_text().splitlines()
    ]
    found = next(row for row in each if (row["Model"], row["Seed"]) == ("unet", "0"))
    assert float(found["F1"]) == pytest.approx(best[-1]["results"]["score"], abs=1e-2), "but for rounding to 16 bits"


def test_the_report_stands_alone_and_says_what_was_done(comparison: Path) -> None:
    page = PageContent(comparison / "report.html")
    assert len(page.pictures) == len(list((comparison / "figures").glob("*.png"))) == 5
    assert all(picture.startswith("data:image/png;base64,") for picture in page.pictures)
    assert page.addresses == page.pictures
    assert all(model in page.text for model in MODELS)
    assert "learnt from 4 of the 5 images" in page.text
    assert f"for {EPOCHS} epochs" in page.text
    assert "napari-attnseg compare" in page.text
    assert "p would not fall below 1.000" in page.text
    assert "Trainings that failed" not in page.headings
    for heading in ("Scores on the held-out images", "How the models learnt", "What is taken for what", "Terms"):
        assert heading in page.headings
    row = next(row for row in page.rows if row[0] == "unet")
    summary = next(row for row in rows_of(comparison / "summary.csv") if row["Model"] == "unet")
    assert row[1] == f"{float(summary['F1 mean']):.3f} ± {float(summary['F1 sd']):.3f}"


def test_the_report_is_made_again_without_training(comparison: Path) -> None:
    report = comparison / "report.html"
    before = report.read_text()
    runs = {path: path.stat().st_mtime_ns for path in (comparison / "runs").rglob("*") if path.is_file()}
    report.unlink()
    assert compare(comparison, "--report-only") == 0
    assert report.read_text() == before
    assert {path: path.stat().st_mtime_ns for path in (comparison / "runs").rglob("*") if path.is_file()} == runs


def test_a_report_does_without_the_pictures_of_a_model_that_is_gone(comparison: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(comparison, copy)
    (copy / "runs/unet-dice_bce-seed0/best.safetensors").unlink()
    assert compare(copy, "--report-only") == 0
    page = PageContent(copy / "report.html")
    assert "unet has no pictures: There is no model file" in page.text
    assert len(page.pictures) == 5


def test_another_comparison_is_refused_in_the_same_folder(comparison: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = comparison.parent / "data"
    ask = [data, "--models", *MODELS, "--repeats", 2, "--epochs", EPOCHS, *TINY, "--out", comparison]
    before = (comparison / "comparison.json").read_bytes()
    for change, words in (
        (["--repeats", 1], "with repeats 2, not 1"),
        (["--models", "unet"], "with models attention_se_unet unet, not unet"),
        (["--losses", "dice"], "with losses left at the default, not dice"),
        (["--epochs", EPOCHS + 1], f"with the setting epochs {EPOCHS}, not {EPOCHS + 1}"),
    ):
        capsys.readouterr()
        assert compare(*ask, *change) == 1
        assert words in capsys.readouterr().err
    assert (comparison / "comparison.json").read_bytes() == before


def test_models_of_a_comparison_are_evaluated_side_by_side(
    comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = comparison.parent / "data"
    models = [comparison / f"runs/{model}-dice_bce-seed0/best.safetensors" for model in MODELS]
    files = [tmp_path / "s.csv", tmp_path / "s.json", tmp_path / "report"]
    options = ["--out", files[0], "--json", files[1], "--report", files[2], "--group-pattern", r"cell\d"]
    assert main(["evaluate", *map(str, models), str(data), *map(str, options)]) == 0
    labels = [f"{model}-dice_bce-seed0" for model in MODELS]
    output = capsys.readouterr().out
    assert output.splitlines()[0].split() == ["5", "images,", "mean", *labels]
    rows = rows_of(files[0])
    assert list(rows[0])[:3] == ["Model", "Image", "Accuracy"]
    found = json.loads(files[1].read_text())["models"]
    assert [one["model"] for one in found] == labels
    for one in found:
        values = [float(row["F1"]) for row in rows if row["Model"] == one["model"]]
        assert len(values) == one["images"] == 5
        assert one["mean"]["f1"] == pytest.approx(np.mean(values), abs=1e-5)
        assert f"{one['mean']['f1']:.4f}" in output
    page = PageContent(files[2] / "report.html")
    assert all(label in page.text for label in labels)
    assert all(picture.startswith("data:image/png") for picture in page.pictures)
    assert "How the models learnt" not in page.headings
    assert "learnt from 4 of these 5 images" in page.text
    assert (files[2] / "tests.csv").exists()
    for name in ("scores.csv", "summary.csv"):
        assert {row["Model"] for row in rows_of(files[2] / name)} == set(labels)
    alone = tmp_path / "one.json"
    assert main(["evaluate", str(models[1]), str(data), "--json", str(alone), "--report", str(files[2])]) == 0
    assert json.loads(alone.read_text())["mean"] == found[1]["mean"]
    assert not (files[2] / "tests.csv").exists(), "the test of an earlier report between two models"


def test_what_cannot_be_evaluated_side_by_side(
    comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = comparison / "runs/unet-dice_bce-seed0/best.safetensors"
    data = comparison.parent / "data"
    assert main(["evaluate", str(model), str(model), str(data)]) == 1
    assert "is given twice" in capsys.readouterr().err
    assert main(["evaluate", str(model), str(data), "--report", str(comparison)]) == 1
    assert "no evaluation wrote" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("")
    for option, value, words in (
        ("--report", tmp_path / "notes.txt" / "report", "cannot be made"),
        ("--group-pattern", "no such name", "matches no image name"),
        ("--group-pattern", "(", "is no regular expression"),
    ):
        assert main(["evaluate", str(model), str(data), option, str(value)]) == 1
        output = capsys.readouterr()
        assert words in output.err
        assert not output.out, "said before anything was predicted"
    other = fill(tmp_path / "other", ["a", "b"], classes=3)
    assert main(["evaluate", str(model), str(model.with_name("last.safetensors")), str(other)]) == 1
    assert "unet-dice_bce-seed0: The model knows" in capsys.readouterr().err


def test_two_at_once_are_told_apart(comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = [comparison.parent / "data", "--models", *MODELS, "--repeats", 2, "--epochs", EPOCHS, *TINY]
    report = (comparison / "report.html").stat().st_mtime_ns
    with alone_in(comparison):
        assert compare(*ask, "--out", comparison) == 1
    assert f"A comparison is being made in {comparison} already, by process" in capsys.readouterr().err
    assert (comparison / "report.html").stat().st_mtime_ns == report
    with alone_in(comparison):
        pass  # the first one is done

    new, asked = ComparisonFolder(tmp_path / "new"), Asked(comparison.parent / "data", ("unet",))
    with alone_in(new.path):
        assert compare(*ask, "--out", new.path) == 1
        assert "is being made in" in capsys.readouterr().err
        assert new.begun(asked) is None
        begun = prepare(new, asked, ignore_event, lambda: False)
        assert compare(*ask, "--out", new.path) == 1
    assert new.begun(asked) == begun, "what the second one asked for has left no trace"


def test_images_and_masks_that_changed_are_named(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", ["a", "b", "c"])
    asked = Asked(data, ("unet",), given={"model": {"widths": [4, 8]}})
    folder = ComparisonFolder(tmp_path / "out")
    folder.path.mkdir()

    def ask() -> Record:
        return prepare(folder, asked, ignore_event, lambda: False)

    begun = ask()
    assert ask() == begun
    mask, image = data / "a_MASK.tif", data / "b.tif"
    kept = mask.read_bytes(), image.read_bytes()
    tifffile.imwrite(mask, 255 - tifffile.imread(mask))  # of the same size in bytes
    with pytest.raises(DataError, match=r"a_MASK\.tif has changed since the comparison in .*out began"):
        ask()
    mask.write_bytes(kept[0])
    image.unlink()
    with pytest.raises(DataError, match=r"b\.tif is gone since the comparison in .*out began"):
        ask()
    image.write_bytes(kept[1])
    fill(data, ["d"])  # annotated since; the split stays as it is
    assert ask() == begun
    old = json.loads(folder.json.read_text())
    del old["digests"]  # as it was written at first
    folder.json.write_text(json.dumps(old))
    assert ask().digests == {}


def test_classes_folds_and_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"p{patient}_{plane}" for patient in range(4) for plane in range(2)]
    data = fill(tmp_path / "data", names, classes=3)
    settings = {"model": {"name": "unet", "upsampling": "bilinear"}, "training": {"loss": "dice", "epochs": 99}}
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "settings": settings}))
    out = tmp_path / "out"
    ask = [data, "--recipes", tmp_path / "mine.json", "--folds", 2, "--group-pattern", r"p\d", "--epochs", 1, *TINY]
    stop = once(out / "runs/unet-dice-mine-fold1-seed0/job.json", lambda: os.kill(os.getpid(), signal.SIGINT))
    assert compare(*ask, "--out", out) == 130
    stop.join()
    for fold in (1, 2):  # by hand, since a process of its own takes seconds to start
        assert main(["train", str(out / f"runs/unet-dice-mine-fold{fold}-seed0/run.json")]) == 0
    capsys.readouterr()
    assert compare(*ask, "--out", out) == 0
    assert "2 of 2  unet-dice-mine-fold2-seed0: score on the held-out images" in capsys.readouterr().out
    record = json.loads((out / "comparison.json").read_text())
    for number, name in enumerate(record["runs"]):
        plan = json.loads((out / "runs" / name / "run.json").read_text())
        assert plan["split"] == record["splits"][number]
        assert plan["settings"]["model"]["upsampling"] == "bilinear"
        assert plan["settings"]["training"]["epochs"] == 1
    held_out = [{Path(pair["image"]).stem for pair in split["held_out"]} for split in record["splits"]]
    assert held_out[0] | held_out[1] == set(names)
    assert not {name[:2] for name in held_out[0]} & {name[:2] for name in held_out[1]}
    rows = rows_of(out / "scores.csv")
    assert sorted(row["Image"] for row in rows) == sorted(names)
    assert {row["Group"] for row in rows} == {"p0", "p1", "p2", "p3"}
    assert [name for name in rows[0] if name.startswith("Dice")] == ["Dice class 1", "Dice class 2", "Dice class 3"]
    page = PageContent(out / "report.html")
    assert "shared out into 2 folds" in page.text
    assert "over all pixels of the images of all folds together" in page.text
    assert "Dice of each class" in page.headings
    assert "IoU of each class" in page.headings
    assert "Is the difference more than chance?" not in page.headings
    (tmp_path / "mine.json").write_text(json.dumps({"settings": {"training": {"loss": "dice"}}}))
    assert compare(*ask, "--out", out) == 1
    assert "A recipe has changed" in capsys.readouterr().err


def test_what_a_user_can_get_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = fill(tmp_path / "data", ["a", "b", "c"])
    lonely = fill(tmp_path / "lonely", ["a"])
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    out = tmp_path / "out"
    to_out = ["--out", out]
    for arguments, words in (
        ([data, *to_out, "--recipes", "nonsense"], "nonsense"),
        ([data], "--out"),
        ([data, "--out", full], "thesis.txt"),
        ([data, "--out", full / "thesis.txt"], "is a file"),
        ([tmp_path / "no", *to_out], "does not exist"),
        ([lonely, *to_out], "No image would be held out"),
        ([data, *to_out, "--folds", 4], "cannot be shared out into 4 folds"),
        ([data, *to_out, "--folds", 2, "--val", lonely], "give one of them"),
        ([data, *to_out, "--models", "unet", "unet"], "named twice"),
        ([data, *to_out, "--epochs", 0], "epochs"),
        ([data, *to_out, "--device", "cpu", "--precision", "float16"], "for GPUs"),
        ([data, "--report-only"], "holds no comparison"),
    ):
        capsys.readouterr()
        assert compare(*arguments) == 1, arguments
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert words in error
    for arguments, words in (
        ([data, *to_out, "--models", "nonsense"], "attention_se_unet"),
        ([data, *to_out, "--losses", "nonsense"], "dice_bce"),
        ([data, *to_out, "--repeats", 0], "less than 1"),
        ([data, *to_out, "--folds", 1], "less than 2"),
        ([data, *to_out, "--repeats", "x"], "'x' is no whole number"),
    ):
        assert compare(*arguments) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()

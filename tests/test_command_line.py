"""The command line end to end, and one clear sentence for whatever a user can get wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_attnseg.cli import main
from napari_attnseg.data.tiff import read_info
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.room import MEMORY_VARIABLE
from napari_attnseg.training import large_scoring
from tests.conftest import MakeFolder

SAMPLES = Path(__file__).parents[1] / "sample_data"
SHORT = ["--widths", "8", "16", "--patch-size", "32", "--batch-size", "4", "--steps-per-epoch", "3", "--epochs", "1"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process and gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def model(make_folder: MakeFolder, tmp_path: Path, run: Run) -> Path:
    """A model for grey binary images."""
    assert run("train", make_folder(3), "--run", tmp_path / "run", *SHORT)[0] == 0
    return tmp_path / "run" / "best.safetensors"


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, _, error = result
    assert code == 1
    assert error.startswith("napari-attnseg: ")
    assert error.count("\n") == 1
    assert all(word in error for word in words), error


def test_the_five_steps_on_sample_data(tmp_path: Path, run: Run) -> None:
    train, test, folder = SAMPLES / "nuclei/train", SAMPLES / "nuclei/test", tmp_path / "run"
    code, output, _ = run("check", train)
    assert code == 0
    assert "Training can start." in output
    code, output, _ = run("train", train, "--run", folder, *SHORT)
    assert code == 0
    assert "16 images, 4 held out" in output
    model = folder / "best.safetensors"
    code, output, _ = run("evaluate", model, test, "--out", tmp_path / "s.csv", "--json", tmp_path / "s.json")
    assert code == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["images"] == 6
    assert list(found["mean"]) == list(found["pooled"]) == ["accuracy", "f1", "jaccard", "recall", "precision"]
    assert [set(one) for one in found["classes"]] == [{"id", "name", "dice", "iou"}] * 2
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert list(rows[0])[:6] == ["Image", "Accuracy", "F1", "Jaccard", "Recall", "Precision"]
    assert np.mean([float(row["F1"]) for row in rows]) == pytest.approx(found["mean"]["f1"], abs=1e-5)
    out = tmp_path / "out put"
    assert run("predict", model, test, "--out", out, "--probability", "--attention")[0] == 0
    assert len(list(out.glob("*_PRED.tiff"))) == len(list(out.glob("*_ATTN.tiff"))) == 6
    mask, attention = tifffile.imread(out / "stained02_PRED.tiff"), tifffile.imread(out / "stained02_ATTN.tiff")
    image = tifffile.imread(test / "stained02.tiff")
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    assert attention.dtype == np.float32
    assert attention.min() >= 0
    assert attention.max() <= 1
    probability = tifffile.imread(out / "stained02_PROB.tiff")
    assert np.array_equal(probability > 0.5, mask > 0)


def test_a_stack_keeps_its_axes_and_pixel_size(tmp_path: Path, run: Run) -> None:
    source = SAMPLES / "stack" / "nuclei3d.tiff"
    three = ["--widths", "8", "16", "32"]
    code, output, _ = run("train", source, "--run", tmp_path / "run", *SHORT, *three)
    assert code == 0
    assert "No image is held out" in output
    out = tmp_path / "out"
    assert run("predict", tmp_path / "run/best.safetensors", source, "--out", out, "--attention")[0] == 0
    given, found = read_info(source), read_info(out / "nuclei3d_PRED.tiff")
    assert (found.axes, found.shape) == ("ZYX", given.shape)
    assert found.pixel_size == pytest.approx(given.pixel_size)
    assert found.z_spacing == pytest.approx(given.z_spacing)
    assert read_info(out / "nuclei3d_ATTN.tiff").axes == "ZCYX"


def test_classes_are_written_in_the_values_they_were_read_in(make_folder: MakeFolder, tmp_path: Path, run: Run) -> None:
    source = make_folder(4, classes=4)
    for path in source.glob("*_MASK.tif"):
        tifffile.imwrite(path, np.array([0, 63, 126, 189, 252], np.uint8)[tifffile.imread(path)])
    code, output, _ = run(
        "train", source, "--run", tmp_path / "run", *SHORT, "--epochs", "4", "--learning-rate", "0.02"
    )
    assert code == 0
    assert "63, 126, 189" in output
    assert run("predict", tmp_path / "run/best.safetensors", source, "--out", tmp_path / "out")[0] == 0
    values = {int(v) for path in (tmp_path / "out").glob("*.tif") for v in np.unique(tifffile.imread(path))}
    assert values <= {0, 63, 126, 189, 252}
    assert len(values) > 1
    models, scores = [tmp_path / f"run/{name}.safetensors" for name in ("best", "last")], tmp_path / "scores.json"
    code, output, _ = run("evaluate", models[0], source, "--json", scores)
    assert code == 0
    found = json.loads(scores.read_text())
    each = {item["name"]: (item["dice"], item["iou"]) for item in found["classes"]}
    for row, key in (("mean", "without_background"), ("mean with background", "with_background")):
        each[row] = (found["mean_dice"][key], found["mean_iou"][key])
    lines = [line.split() for line in output.partition("each class, all pixels")[2].splitlines()[1:]]
    shown = {" ".join(line[:-2]): tuple(line[-2:]) for line in lines}
    assert shown == {name: tuple(f"{value:.4f}" for value in values) for name, values in each.items()}
    code, output, _ = run("evaluate", *models, source)
    assert code == 0
    for number, measure in enumerate(("Dice", "IoU")):
        below = output.partition(f"{measure} of each class, all pixels\n")[2].splitlines()[: len(each)]
        first = {" ".join(line.split()[:-2]): line.split()[-2] for line in below}
        assert first == {name: f"{values[number]:.4f}" for name, values in each.items()}


def test_memory_too_small_to_score_an_image_is_one_sentence(
    make_folder: MakeFolder, model: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for is larger by hand; the error is NumPy's own."""
    monkeypatch.setattr(Predictor, "predict_together", lambda *_, **__: np.empty(2**50))
    refused(run("evaluate", model, make_folder(1, "large")), "cell00", "too large for this computer's memory", "cut")


def test_an_image_that_no_memory_is_left_for_is_scored_by_rows(
    make_folder: MakeFolder, model: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux promises memory that is not there, and then kills the program."""
    folder = make_folder(2, "large", planes=3)
    image = folder / "cell01.tif"
    values = tifffile.imread(image).astype(np.float32)
    values[1, 5:30, 8:20] = np.nan
    tifffile.imwrite(image, values, photometric="minisblack", metadata={"axes": "ZYX"})
    scores = [tmp_path / f"{name}.json" for name in ("whole", "rows")]
    assert run("evaluate", model, folder, "--json", scores[0])[0] == 0
    monkeypatch.setenv(MEMORY_VARIABLE, "0.00001")
    monkeypatch.setattr(large_scoring, "_PIXELS", 700)
    monkeypatch.setattr(Predictor, "see", lambda *_: pytest.fail("it was read whole"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    code, _, error = run("evaluate", model, folder, "--json", scores[1])
    assert code == 0, error
    assert not list((tmp_path / "temporary").iterdir())
    whole, rows = (json.loads(path.read_text()) for path in scores)
    assert whole["images"] == rows["images"] == 2
    assert rows["pooled"] == pytest.approx(whole["pooled"], abs=2e-3)
    assert rows["mean"] == pytest.approx(whole["mean"], abs=2e-3)
    mask = folder / "cell00_MASK.tif"
    stored = tifffile.imread(mask)
    tifffile.imwrite(mask, np.stack([stored] * 3, -1), photometric="rgb", metadata={"axes": "ZYXS"})
    refused(
        run("evaluate", model, folder), "1 of 2 images", "cell00 is too large for this computer's memory", "one channel"
    )


def test_evaluate_refuses_files_that_it_cannot_write_before_it_predicts(
    make_folder: MakeFolder, model: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(1, "one")
    monkeypatch.setattr(Predictor, "predict_together", lambda *_, **__: pytest.fail("it was predicted"))
    refused(run("evaluate", model, folder, "--out", folder), "is a folder")
    refused(run("evaluate", model, folder, "--json", tmp_path / "no" / "s.json"), "there is no folder")
    same = tmp_path / "same"
    refused(run("evaluate", model, folder, "--out", same, "--json", same), "would both be")


@pytest.mark.parametrize("memory", ["100", "0.00001"])
def test_an_image_without_a_number_has_no_score(
    make_folder: MakeFolder, model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    folder = make_folder(2, "nan")
    monkeypatch.setenv(MEMORY_VARIABLE, memory)
    tifffile.imwrite(folder / "cell01.tif", np.full(tifffile.imread(folder / "cell01.tif").shape, np.nan, np.float32))
    refused(run("evaluate", model, folder), "1 of 2 images", "No pixel of cell01 is a number")


def test_a_grey_model_meets_rgb(make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run) -> None:
    rgb = make_folder(2, "rgb", channels=3)
    result = run("predict", model, rgb, "--out", tmp_path / "out")
    refused(result, "3 channels", "trained on 1", "--channels grey")
    assert run("predict", model, rgb, "--out", tmp_path / "out", "--channels", "grey")[0] == 0
    assert len(list((tmp_path / "out").glob("*_PRED.tif"))) == 2


def test_predictions_lie_as_the_images_do_and_never_over_each_other(
    make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run
) -> None:
    outer = make_folder(1, "outer")
    (outer / "inner").mkdir()
    for path in list(outer.glob("*.tif")):
        (outer / "inner" / path.name).write_bytes(path.read_bytes())
    before = {path: path.read_bytes() for path in outer.rglob("*.tif")}
    assert run("predict", model, outer, "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/inner/cell00_PRED.tif").exists()
    both = run("predict", model, outer / "cell00.tif", outer / "inner/cell00.tif", "--out", tmp_path / "two")
    refused(both, "would both be written")
    assert {path: path.read_bytes() for path in outer.rglob("*.tif")} == before


def test_a_bad_image_is_named_and_the_others_are_predicted(
    make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run
) -> None:
    source = make_folder(3, "some")
    (source / "cell01.tif").write_bytes(b"")
    result = run("predict", model, source, "--out", tmp_path / "out")
    refused(result, "1 of 3", "cell01.tif")
    assert len(list((tmp_path / "out").glob("*_PRED.tif"))) == 2


def test_what_a_user_can_get_wrong(make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run) -> None:
    source, out = make_folder(3), tmp_path / "out"
    refused(run("train", tmp_path / "no", "--run", out), "does not exist")
    refused(run("train", source, "--run", tmp_path / "run"), "already holds a run", "--resume")
    refused(run("train", source, "--run", source / "cell00.tif"), "is a file")
    refused(run("train", source, "--run", out, "--epochs", "0"), "epochs")
    refused(run("train", source, "--run", out, "--precision", "float16", "--device", "cpu"), "float16")
    refused(run("train", source, "--run", out, "--group-pattern", "("), "regular expression")
    refused(run("train", source, "--run", out, "--init", source / "cell00.tif"), "model file")
    refused(run("predict", tmp_path / "no.safetensors", source, "--out", out), "no model file")
    refused(run("predict", model, tmp_path / "no", "--out", out), "does not exist")
    refused(run("predict", model, source, "--out", source / "cell00.tif"), "cannot be made")
    refused(run("predict", model, source, "--out", out, "--overlap", "400"), "overlap")
    refused(run("evaluate", model, tmp_path / "no"), "does not exist")
    refused(run("evaluate", model, make_folder(2, "classes", classes=3)), "classes")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(model.read_bytes()[:-50])
    refused(run("predict", cut, source, "--out", out), "cut.safetensors")
    assert run("check", tmp_path / "no")[0] == 1
    assert run("train")[0] == 2
    assert run("train", source, "--loss", "nonsense")[0] == 2
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on file sizes")
def test_a_full_disk_gets_one_sentence_and_keeps_the_old_prediction(
    make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run
) -> None:
    source, out = make_folder(1, "one"), tmp_path / "out"
    assert run("predict", model, source, "--out", out)[0] == 0
    old = (out / "cell00_PRED.tif").read_bytes()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200));"
        "from napari_attnseg.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["predict", str(model), str(source), "--out", str(out), "--again"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cell00_PRED.tif" in done.stderr
    assert (out / "cell00_PRED.tif").read_bytes() == old
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on file sizes")
@pytest.mark.parametrize("limit", [500, 12_000, 45_000, 70_000])
def test_a_disk_that_fills_up_while_training_leaves_a_run_to_resume(
    make_folder: MakeFolder, tmp_path: Path, run: Run, limit: int
) -> None:
    source, folder = make_folder(3), tmp_path / "run"
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from napari_attnseg.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["train", str(source), "--run", str(folder), *SHORT, "--epochs", "2"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "napari-attnseg: " in done.stderr
    assert not [path for path in folder.glob(".*") if folder.exists()]
    assert run(*arguments, "--resume")[0] == 0


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "check", "demo"])
def test_help_shows_defaults_and_needs_no_torch(command: str) -> None:
    code = (
        "import sys\nfrom napari_attnseg.cli import main\ntry:\n    main([sys.argv[1], '--help'])\n"
        "except SystemExit:\n    pass\nassert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "default" in done.stdout


def test_events_are_json_lines_that_end_in_one_last_event(make_folder: MakeFolder, tmp_path: Path, run: Run) -> None:
    source = make_folder(3)
    code, output, _ = run("train", source, "--run", tmp_path / "run", *SHORT, "--events")
    kinds = [json.loads(line)["kind"] for line in output.splitlines()]
    assert code == 0
    assert next(kind for kind in kinds if kind != "progress") == "started"
    assert kinds[-1] == "finished"
    assert kinds.count("finished") == 1
    saved = [json.loads(line)["kind"] for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    assert saved == kinds


def test_an_order_in_run_json_is_carried_out(make_folder: MakeFolder, tmp_path: Path, run: Run) -> None:
    """As the viewer will start a training: a folder with run.json, then the command."""
    from napari_attnseg.settings import RunSettings, make

    model = {"widths": (8, 16)}
    training = {"patch_size": 32, "batch_size": 4, "steps_per_epoch": 2, "epochs": 1}
    settings = make(RunSettings, {"model": model, "training": training})
    folder = tmp_path / "ordered"
    folder.mkdir()
    source = make_folder(3)
    order = {"source": str(source), "settings": settings.model_dump(mode="json"), "init": None, "focus": []}
    (folder / "run.json").write_text(json.dumps(order))
    assert run("train", folder / "run.json")[0] == 0
    assert (folder / "best.safetensors").exists()
    done = json.loads((folder / "run.json").read_text())
    assert len(done["split"]["train"]) == 2
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["message"] == "starting"
    expected = {"score", "start_score", "improved", "best", "epochs", "minutes", "waiting"}
    assert set(events[-1]["results"]) == expected
    again = tmp_path / "again"
    again.mkdir()
    focus = [pair["image"] for pair in done["split"]["train"]][:1]
    order |= {"init": str(folder / "best.safetensors"), "focus": focus}
    (again / "run.json").write_text(json.dumps(order))
    assert run("train", again / "run.json")[0] == 0
    begun = json.loads((again / "run.json").read_text())
    assert begun["focus"] == focus
    assert begun["split"] == done["split"]
    last = json.loads((again / "events.jsonl").read_text().splitlines()[-1])
    assert isinstance(last["results"]["start_score"], float)


def test_fine_tuning_on_some_images(make_folder: MakeFolder, model: Path, tmp_path: Path, run: Run) -> None:
    trained = json.loads((model.parent / "run.json").read_text())["split"]["train"]
    image = Path(trained[0]["image"])
    code, output, _ = run("train", image.parent, "--run", tmp_path / "fine", "--init", model, "--focus", image, *SHORT)
    assert code == 0
    assert "2 images (1 of them above all), 1 held out" in output
    assert "The starting model's: 0." in output
    used = json.loads((tmp_path / "fine" / "run.json").read_text())["settings"]["training"]
    assert used["max_minutes"] is not None
    assert used["epochs"] == 1


def test_the_demo_clears_only_what_is_its_own(tmp_path: Path, run: Run) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused(run("demo", "--out", tmp_path, "--data", SAMPLES / "nuclei"), "thesis.txt")
    assert (tmp_path / "thesis.txt").exists()
    refused(run("demo", "--out", tmp_path / "demo", "--data", tmp_path), "train")


def test_the_demo_writes_what_it_says(tmp_path: Path, run: Run) -> None:
    torch.manual_seed(0)
    code, output, _ = run("demo", "--out", tmp_path / "demo", "--data", SAMPLES / "nuclei", "--minutes", "0.05")
    assert code == 0
    assert "of a global threshold" in output
    for name in ("overlays.png", "attention.png", "curves.png", "scores.csv", "scores.txt", "run/best.safetensors"):
        assert (tmp_path / "demo" / name).stat().st_size > 100
        assert name in output or name == "scores.csv"

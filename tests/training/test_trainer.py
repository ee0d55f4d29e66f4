"""The trainer: it learns, saves, stops within a batch, and goes on as if nothing had happened."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_attnseg.annotation.trainings.model_choices import choice_of_file
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.engine import evaluate, fit, predict
from napari_attnseg.errors import AttnSegError, DataError, ModelFileError, RunFolderError, SaveError, SettingsError
from napari_attnseg.events import CheckpointSaved, EpochEnd, Event, Notice, Progress, Started
from napari_attnseg.models.model_file import load_card, load_model
from napari_attnseg.models.unet import UNet
from napari_attnseg.settings import RunSettings, make
from napari_attnseg.training.planning import make_plan
from napari_attnseg.training.run_folder import RunFolder
from tests.conftest import TINY, MakeFolder


def learn(source: Path, run: Path, **values: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    on_event = values.pop("on_event", events.append)
    return fit(source, run, on_event=on_event, **{**TINY, **values}), events


def after(times: int) -> Callable[[], bool]:
    """Return a `should_stop` that says yes once it was asked that many times.

    With four images it is asked 4 times for the masks and 4 for the images, then in each epoch 3 times before a batch
    and once for the held-out image.
    """
    asked = {"count": 0}

    def should_stop() -> bool:
        asked["count"] += 1
        return asked["count"] > times

    return should_stop


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def test_one_pair_is_learnt_by_heart(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(1)
    result, events = learn(
        source, tmp_path / "run", epochs=12, steps_per_epoch=12, learning_rate=0.02, augmentation="none"
    )
    assert result.best_score is None
    assert any(isinstance(e, Notice) and "No image is held out" in e.message for e in events)
    assert evaluate(result, source).mean.f1 > 0.95


@pytest.mark.parametrize(
    ("count", "values", "what"),
    [
        (1, {}, "annotate at least two images"),
        (3, {"val_fraction": 0}, "raise --val-fraction"),
        (3, {"group_pattern": "^(cell)"}, "belong to one group"),
    ],
)
def test_why_no_image_is_held_out(make_folder: MakeFolder, count: int, values: dict[str, Any], what: str) -> None:
    plan = make_plan(make_folder(count), make(RunSettings, {"data": values}))
    assert not plan.held_out
    assert any("No image is held out" in notice and what in notice for notice in plan.notices), plan.notices


def test_classes_are_learnt(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(6, classes=3)
    result, _ = learn(source, tmp_path / "run", epochs=10, steps_per_epoch=15, learning_rate=0.02)
    found = evaluate(result, source)
    assert len(found.dice) == 4
    assert found.dice.min() > 0.5


def name_classes(folder: Path, *names: str) -> Path:
    (folder / "classes.json").write_text(json.dumps({str(number): name for number, name in enumerate(names)}))
    return folder


def test_classes_are_matched_by_name(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = name_classes(make_folder(3, classes=3), "background", "Liver", "spleen", "kidney")
    result, _ = learn(source, tmp_path / "run", epochs=1, steps_per_epoch=3)
    expected = evaluate(result, source)
    (tmp_path / "turned").mkdir()
    turned = name_classes(make_folder(3, "turned/a", classes=3).parent, "background", "kidney", "liver", "spleen")
    for mask in turned.rglob("*_MASK.tif"):  # the same masks, their classes in another order
        tifffile.imwrite(mask, np.array([0, 2, 3, 1], np.uint8)[tifffile.imread(mask)])
    assert np.array_equal(evaluate(result, turned).matrix, expected.matrix)
    pairs = find_pairs(turned).annotated
    assert np.array_equal(evaluate(result, pairs).matrix, expected.matrix), "classes.json stands a folder higher"
    name_classes(turned, "background", "kidney", "liver", "pancreas")
    with pytest.raises(DataError, match=r"knows Liver, spleen, kidney and the masks have kidney, liver, pancreas;"):
        evaluate(result, turned)
    name_classes(turned, "background", "kidney", "liver", "spleen", "not annotated anywhere")
    assert np.array_equal(evaluate(result, turned).matrix, expected.matrix)
    name_classes(turned, "background", "class 1", "class 2", "class 3")
    assert not np.array_equal(evaluate(result, turned).matrix, expected.matrix), "without names the numbers count"


def test_the_file_of_encoder_weights_is_looked_for_before_anything_is_done(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(3)
    monkeypatch.chdir(tmp_path)

    def plan(model: str) -> RunSettings:
        asked = make(RunSettings, {"model": {"name": model, "encoder_weights": "weights.pth"}})
        return make_plan(source, asked).settings

    with pytest.raises(ModelFileError, match=r"no file .*weights\.pth' with encoder weights"):
        plan("res_se_unet")
    assert plan("unet").model.encoder_weights == "weights.pth", "has no use for it, and says so later"
    Path("weights.pth").write_bytes(b"")
    assert plan("res_se_unet").model.encoder_weights == str(tmp_path.resolve() / "weights.pth")


def test_a_run_folder_holds_everything(make_folder: MakeFolder, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a b"
    result, events = learn(make_folder(5), run)
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "run.json",
        "metrics.csv",
        "events.jsonl",
        "best.safetensors",
        "last.safetensors",
        "state.pt",
        "curves.png",
    }
    rows = RunFolder(run).read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(0 <= row["val_f1"] <= 1 for row in rows)
    order = json.loads((run / "run.json").read_text())
    assert len(order["split"]["train"]) == 4
    assert len(order["split"]["held_out"]) == 1
    assert order["settings"]["training"]["epochs"] == 2
    card = load_card(run / "best.safetensors")
    assert card.scores["score"] == pytest.approx(result.best_score)
    assert card.training["images"] == 4
    assert card.training["minutes"] > 0
    kinds = [type(event) for event in events]
    assert next(kind for kind in kinds if kind is not Progress) is Started
    assert kinds.count(EpochEnd) == 2
    assert CheckpointSaved in kinds
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_the_best_score_is_the_one_that_evaluate_measures(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, apart = make_folder(4), make_folder(3, "apart")
    exact: dict[str, Any] = {"precision": "float32"}  # rounded to 16 bits, folded normalisation gives a little else
    result, _ = learn(source, tmp_path / "run", val=apart, epochs=4, **exact)
    assert evaluate(result, apart, **exact).mean.f1 == pytest.approx(result.best_score, abs=1e-3)


def test_the_same_seed_gives_the_same_model(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    one, two, other = (learn(source, tmp_path / name, seed=seed)[0] for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    first, second = weights(one.folder.last), weights(two.folder.last)
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = weights(other.folder.last)
    assert not all(torch.equal(first[name], third[name]) for name in first)


@pytest.mark.parametrize("times", [0, 5, 9, 11, 13, 15])
def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(make_folder: MakeFolder, tmp_path: Path, times: int) -> None:
    source = make_folder()
    straight, _ = learn(source, tmp_path / "straight")
    stopped, _ = learn(source, tmp_path / "run", should_stop=after(times))
    assert stopped.was_stopped
    resumed, _ = learn(source, tmp_path / "run", resume=True)
    assert not resumed.was_stopped
    assert resumed.best_score == pytest.approx(straight.best_score)
    expected, found = weights(straight.folder.last), weights(resumed.folder.last)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [row["epoch"] for row in resumed.folder.read_metrics()] == [1, 2]


def test_a_model_saved_in_the_middle_of_an_epoch_has_no_scores(make_folder: MakeFolder, tmp_path: Path) -> None:
    told: list[Event] = []
    asked = {"after": 0}

    def should_stop() -> bool:
        asked["after"] += any(isinstance(event, EpochEnd) for event in told)
        return asked["after"] > 1

    result, _ = learn(make_folder(), tmp_path / "run", on_event=told.append, should_stop=should_stop)
    best, last = load_card(result.folder.best), load_card(result.folder.last)
    assert (best.training["steps"], last.training["steps"]) == (3, 4)
    assert "f1" in best.scores
    assert last.scores == {}
    choice = choice_of_file(result.folder.last, datetime.now().astimezone())
    assert "not measured" in choice.label
    assert "Not measured: it was saved in the middle of an epoch" in choice.tooltip


def test_a_finished_run_can_be_made_longer(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    learn(source, tmp_path / "run")
    result, _ = learn(source, tmp_path / "run", resume=True, epochs=3)
    assert result.epochs == 3
    assert len(result.folder.read_metrics()) == 3


def test_resuming_with_other_settings_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    learn(source, tmp_path / "run")
    with pytest.raises(SettingsError, match="learning_rate"):
        learn(source, tmp_path / "run", resume=True, learning_rate=0.5)


def test_the_time_limit_holds(make_folder: MakeFolder, tmp_path: Path) -> None:
    result, _ = learn(make_folder(), tmp_path / "run", epochs=10_000, max_minutes=0.05)
    assert "time limit" in result.reason
    assert 1 <= result.epochs < 10_000
    assert result.best_score is not None


def test_early_stopping(make_folder: MakeFolder, tmp_path: Path) -> None:
    result, _ = learn(make_folder(), tmp_path / "run", epochs=50, patience=2, learning_rate=1e-9, steps_per_epoch=1)
    assert result.epochs <= 10
    assert "no better score" in result.reason


def test_starting_from_a_model_never_makes_best_worse(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(6)
    first, _ = learn(source, tmp_path / "first", epochs=6, steps_per_epoch=15, learning_rate=0.02)
    spoilt, events = learn(source, tmp_path / "spoilt", init=first.folder.best, learning_rate=1.0, epochs=1)
    assert spoilt.best_score == pytest.approx(first.best_score)
    assert any(isinstance(event, Notice) and "starting model scores" in event.message for event in events)
    expected, found = weights(first.folder.best), weights(spoilt.folder.best)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_it_goes_on_without_the_model_that_it_started_from(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    told: list[Event] = []

    def should_stop() -> bool:
        return any(isinstance(event, EpochEnd) for event in told)

    learn(source, tmp_path / "second", init=first.folder.best, on_event=told.append, should_stop=should_stop)
    first.folder.best.unlink()
    result, events = learn(source, tmp_path / "second", resume=True)
    assert result.epochs == 2
    assert any("Resumed after epoch 1" in event.message for event in events if isinstance(event, Notice))


def test_what_a_starting_model_decides_is_said(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    values = {"upsampling": "bilinear", "normalisation": "minmax", "dropout": 0.25}
    result, events = learn(source, tmp_path / "second", init=first.folder.best, epochs=1, **values)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert any("decides on up-sampling and intensity scaling; what was asked for" in notice for notice in notices)
    assert load_card(result.folder.best).model.dropout == 0.25
    _, events = learn(source, tmp_path / "third", init=first.folder.best, epochs=1)
    assert not any("decides on" in event.message for event in events if isinstance(event, Notice))


def test_other_classes_start_from_a_model_with_a_new_head(make_folder: MakeFolder, tmp_path: Path) -> None:
    first, _ = learn(make_folder(4), tmp_path / "first")
    result, events = learn(make_folder(4, "classes", classes=3), tmp_path / "second", init=first.folder.best)
    assert any(isinstance(event, Notice) and "output layer learns anew" in event.message for event in events)
    assert load_card(result.folder.best).model.classes == 4


@pytest.mark.parametrize("loss", ["dice", "jaccard", "bce", "focal", "dice_focal", "dice_bce"])
@pytest.mark.parametrize("model", ["unet", "attention_se_unet"])
def test_every_loss_and_model_trains(make_folder: MakeFolder, tmp_path: Path, loss: str, model: str) -> None:
    result, _ = learn(make_folder(3), tmp_path / "run", loss=loss, model=model, epochs=1, steps_per_epoch=2)
    assert load_card(result.folder.best).model.name == model


def test_stacks_and_rgb_and_bfloat16(make_folder: MakeFolder, tmp_path: Path) -> None:
    stacks = make_folder(3, "stacks", planes=4)
    result, _ = learn(stacks, tmp_path / "z", epochs=1)
    assert predict(result, stacks / "cell00.tif").labels.shape == (4, 48, 40)
    result, _ = learn(make_folder(3, "rgb", channels=3), tmp_path / "rgb", epochs=1, precision="bfloat16")
    assert load_card(result.folder.best).model.in_channels == 3


def test_nan_pixels_are_left_out(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(3)
    for path in sorted(source.glob("cell0?.tif")):
        image = tifffile.imread(path).astype(np.float32)
        image[:5], image[:, :3] = np.nan, np.inf
        tifffile.imwrite(path, image)
    result, _ = learn(source, tmp_path / "run")
    assert np.isfinite(result.folder.read_metrics()[-1]["loss"])
    found = evaluate(result, source)
    assert found.matrix.sum() == 3 * (48 - 5) * (40 - 3)


def test_constant_images_do_not_divide_by_zero(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(3)
    for path in sorted(source.glob("cell0?.tif")):
        tifffile.imwrite(path, np.full((48, 40), 7, np.uint8))
    result, _ = learn(source, tmp_path / "run", epochs=1)
    assert np.isfinite(result.folder.read_metrics()[0]["loss"])


@pytest.mark.parametrize("seconds", [0.0, 1000.0])  # between two looks at the loss, which wait for a GPU
@pytest.mark.parametrize("epochs", [0, 1])
def test_a_diverging_training_is_named_and_the_old_model_kept(
    make_folder: MakeFolder, tmp_path: Path, epochs: int, seconds: float
) -> None:
    source = make_folder(3)
    for path in sorted(source.glob("cell0?.tif")):
        tifffile.imwrite(path, tifffile.imread(path).astype(np.float32))

    def diverge() -> None:
        trainer_modules[0].loss = lambda logits, *_: logits.sum() * float("nan")

    def poison(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch == epochs:
            diverge()

    from napari_attnseg.training import preparation, reporter

    trainer_modules: list[Any] = []
    real = preparation.Learner

    def remember(*args: Any) -> Any:
        trainer_modules.append(real(*args))
        if epochs == 0:
            diverge()
        return trainer_modules[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "Learner", remember)
        patch.setattr(reporter, "SECONDS_BETWEEN", seconds)
        with pytest.raises(AttnSegError, match="diverged") as error:
            learn(source, tmp_path / "run", on_event=poison, val_fraction=0)
    assert ("as of epoch 1 is kept" in str(error.value)) == (epochs == 1)
    best = tmp_path / "run" / "best.safetensors"
    assert best.exists() == (epochs == 1)
    assert epochs == 0 or load_card(best).training["epochs"] == 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")],
)
def test_gpu_memory_that_runs_out_halves_the_batch(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The error is raised by hand, as there may be no GPU; what follows it is real."""
    from napari_attnseg.training.learner import Learner

    real, sizes = Learner.step, []

    def step(self: Learner, images: torch.Tensor, *more: Any) -> torch.Tensor:
        sizes.append(len(images) // self.chunks)
        if sizes[-1] > 2:
            raise error
        return real(self, images, *more)

    monkeypatch.setattr(Learner, "step", step)
    result, events = learn(make_folder(3), tmp_path / "run", batch_size=8)
    assert result.epochs == 2
    assert sizes[:3] == [8, 4, 2]
    assert [e.message for e in events if isinstance(e, Notice) and "memory ran out" in e.message][-1].endswith(
        "2 patches at a time."
    )


def out_of_memory_above(monkeypatch: pytest.MonkeyPatch, pixels: int) -> list[tuple[int, int]]:
    """Let the learner's step fail as on a GPU that holds so many pixels; return the patches and sides it was given."""
    from napari_attnseg.training.learner import Learner

    real, given = Learner.step, []

    def step(self: Learner, images: torch.Tensor, *more: Any) -> torch.Tensor:
        given.append((-(-len(images) // self.chunks), images.shape[-1]))
        if given[-1][0] * images.shape[-1] ** 2 > pixels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, images, *more)

    monkeypatch.setattr(Learner, "step", step)
    return given


def test_gpu_memory_too_small_for_one_patch_halves_the_patches(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(3)
    given = out_of_memory_above(monkeypatch, 40 * 40)
    values = {"patch_size": 64, "batch_size": 2}
    result, events = learn(source, tmp_path / "run", **values)
    assert given[:3] == [(2, 64), (1, 64), (1, 32)]
    assert set(given[3:]) == {(1, 32)}
    told = [event.message for event in events if isinstance(event, Notice) and "memory" in event.message]
    assert "1 patch at a time" in told[0]
    assert "single patch of 64 pixels; going on with patches of 32" in told[1]
    assert len(told) == 2
    assert load_card(result.folder.best).patch_size == 32
    given.clear()
    learn(source, tmp_path / "run", resume=True, **values | {"epochs": 3})
    assert set(given) == {(1, 32)}, "a resumed run knows what fits"


def statistics(path: Path) -> list[torch.Tensor]:
    return [values for name, values in weights(path).items() if name.endswith("running_var")]


def test_an_epoch_comes_to_its_end_in_memory_for_a_single_small_patch(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch normalisation is measured on no more than was learnt from at once."""
    out_of_memory_above(monkeypatch, 40 * 40)
    real, seen = UNet.forward, []

    def forward(self: UNet, x: torch.Tensor) -> torch.Tensor:
        if self.training and not torch.is_grad_enabled():
            seen.append((len(x), x.shape[-1]))
            if x.shape[0] * x.shape[-1] ** 2 > 40 * 40:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, x)

    monkeypatch.setattr(UNet, "forward", forward)
    result, _ = learn(make_folder(3), tmp_path / "run", patch_size=64, batch_size=2)
    assert result.epochs == 2
    assert seen[:2] == [(1, 64), (1, 32)]
    assert not any(torch.equal(values, torch.ones_like(values)) for values in statistics(result.folder.best))


def test_a_model_that_is_saved_at_a_stop_has_been_measured_also_where_memory_runs_out(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = UNet.forward, []

    def forward(self: UNet, x: torch.Tensor) -> torch.Tensor:
        if self.training and not torch.is_grad_enabled():
            seen.append((len(x), x.shape[-1]))
            if len(seen) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, x)

    monkeypatch.setattr(UNet, "forward", forward)
    result, _ = learn(make_folder(), tmp_path / "run", should_stop=after(10))
    assert result.was_stopped
    assert seen == [(4, 32), (4, 16)]
    assert not any(torch.equal(values, torch.ones_like(values)) for values in statistics(result.folder.best))


def test_gpu_memory_too_small_for_anything_gets_one_sentence(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory_above(monkeypatch, 100)
    with pytest.raises(AttnSegError, match="too small for a single patch of 32 pixels; choose") as caught:
        learn(make_folder(3), tmp_path / "run", patch_size=64, batch_size=2)
    assert "\n" not in str(caught.value)


def test_memory_that_runs_out_where_nothing_smaller_is_tried_gets_one_sentence(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_attnseg.training.learner import Learner

    source, run = make_folder(3), tmp_path / "run"
    learn(source, run, epochs=1)
    monkeypatch.setattr(Learner, "settle", lambda *_: torch.empty(2**60))
    with pytest.raises(AttnSegError, match="Memory ran out") as caught:
        learn(source, run, resume=True, epochs=2)
    monkeypatch.undo()
    assert f"is in {run}: go on with --run {run} " in str(caught.value)
    result, _ = learn(source, run, resume=True, epochs=2)
    assert result.epochs == 2


def test_a_pause_is_told_and_changes_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    straight, _ = learn(source, tmp_path / "straight")
    asked = {"count": 0}

    def should_pause() -> bool:
        asked["count"] += 1
        return 9 <= asked["count"] <= 12

    result, events = learn(source, tmp_path / "run", should_pause=should_pause)
    expected, found = weights(straight.folder.last), weights(result.folder.last)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    states = [event.details["paused"] for event in events if isinstance(event, Progress) and event.details]
    assert states.count(True) == 1
    assert states[states.index(True) + 1] is False


def test_a_stop_wins_over_a_pause(make_folder: MakeFolder, tmp_path: Path) -> None:
    told: list[Event] = []

    def should_stop() -> bool:
        return any(isinstance(event, Progress) and event.details.get("paused") for event in told)

    result, _ = learn(
        make_folder(),
        tmp_path / "run",
        on_event=told.append,
        should_stop=should_stop,
        should_pause=lambda: any(isinstance(event, EpochEnd) for event in told),
    )
    assert result.was_stopped
    assert result.epochs == 1


def test_progress_tells_all_that_a_viewer_shows(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_attnseg.training import reporter

    monkeypatch.setattr(reporter, "SECONDS_BETWEEN", 0.0)
    result, events = learn(make_folder(5), tmp_path / "run")
    told = [event for event in events if isinstance(event, Progress) and event.message.startswith("epoch")]
    keys = {"loss", "epoch", "epochs", "batch", "batches", "memory", "paused"}
    assert all(set(event.details) == keys for event in told)
    counts = [(event.details["epoch"], event.details["batch"]) for event in told]
    assert counts == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert all(event.seconds_left is not None and event.seconds_left >= 0 for event in told)
    assert all(event.images_per_second for event in told)
    assert told[0].details["memory"] > 1_000_000
    kinds = [event.message.split(",")[0] for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(kinds)) == [
        "looking at the masks",
        "reading images",
        "epoch 1",
        "scoring held-out images",
        "epoch 2",
    ]
    results = result.to_json()
    assert results.pop("score") == result.best_score
    assert results.pop("minutes") > 0
    assert 0 <= results.pop("waiting") <= 1
    best = str(tmp_path / "run" / "best.safetensors")
    assert results == {"start_score": None, "improved": True, "best": best, "epochs": 2}


def test_a_run_stopped_in_its_first_epoch_has_a_model_to_use(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    stopped, _ = learn(source, tmp_path / "run", should_stop=after(10))
    assert stopped.epochs == 0
    assert predict(stopped, source / "cell00.tif").labels.shape == (1, 48, 40)


@pytest.mark.parametrize("word", ["looking", "reading"])
def test_a_stop_while_images_are_read(make_folder: MakeFolder, tmp_path: Path, word: str) -> None:
    told: list[Event] = []
    result, _ = learn(
        make_folder(),
        tmp_path / "run",
        on_event=told.append,
        should_stop=lambda: any(isinstance(event, Progress) and event.message.startswith(word) for event in told),
    )
    assert result.was_stopped
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert not any("epoch" in event.message for event in told if isinstance(event, Progress))


def test_a_stop_is_seen_between_the_tiles_of_a_large_image(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, apart = make_folder(2), make_folder(1, "apart")
    tifffile.imwrite(apart / "cell00.tif", np.zeros((1500, 1500), np.uint8))
    tifffile.imwrite(apart / "cell00_MASK.tif", np.zeros((1500, 1500), np.uint8))
    told: list[Event] = []
    asked = {"scoring": 0}

    def should_stop() -> bool:
        asked["scoring"] += any(isinstance(event, Progress) and "scoring" in event.message for event in told)
        return asked["scoring"] == 3

    result, _ = learn(
        source, tmp_path / "run", val=apart, epochs=1, steps_per_epoch=1, on_event=told.append, should_stop=should_stop
    )
    assert asked["scoring"] == 3, "asked three times in one image, of which no score came"
    assert result.was_stopped
    assert result.epochs == 0


def test_a_disk_that_fills_up_ends_with_one_sentence_and_keeps_what_is_there(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a full disk is raised by hand where bytes are written; all else is real."""
    source, run = make_folder(3), tmp_path / "run"
    learn(source, run, epochs=1)
    kept = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix in (".safetensors", ".pt", ".csv")}
    real = Path.write_bytes

    def write_bytes(self: Path, data: bytes) -> int:
        if len(data) > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(SaveError, match=r"last\.safetensors could not be saved.*no space left on device") as caught:
        learn(source, run, resume=True, epochs=3)
    assert "the previous file is unchanged" in str(caught.value)
    assert {name: (run / name).read_bytes() for name in kept} == kept
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    monkeypatch.undo()
    result, _ = learn(source, run, resume=True, epochs=3)
    assert result.epochs == 3


def refused(action: Callable[[], object], kind: type[AttnSegError], run: Path, *words: str) -> None:
    with pytest.raises(kind) as caught:
        action()
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert not run.exists(), "something was written"


def test_bad_data_is_refused_before_anything_is_written(make_folder: MakeFolder, tmp_path: Path) -> None:
    run = tmp_path / "run"
    refused(lambda: learn(tmp_path / "nowhere", run), DataError, run, "nowhere", "does not exist")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: learn(empty, run), DataError, run, "no TIFF")
    unmasked = make_folder(2, "unmasked")
    for path in unmasked.glob("*_MASK.tif"):
        path.unlink()
    refused(lambda: learn(unmasked, run), DataError, run, "mask")
    black = make_folder(2, "black")
    for path in black.glob("*_MASK.tif"):
        tifffile.imwrite(path, np.zeros((48, 40), np.uint8))
    refused(lambda: learn(black, run), DataError, run, "empty")
    mixed = make_folder(2, "mixed")
    tifffile.imwrite(mixed / "cell00_MASK.tif", np.tile(np.arange(4, dtype=np.uint8), (48, 10)))
    refused(lambda: learn(mixed, run), DataError, run, "cell00_MASK.tif", "cell01_MASK.tif")
    channels = make_folder(2, "channels")
    tifffile.imwrite(channels / "cell01.tif", np.zeros((48, 40, 3), np.uint8), photometric="rgb")
    refused(lambda: learn(channels, run), DataError, run, "cell01.tif", "--channels grey")
    shapes = make_folder(2, "shapes")
    tifffile.imwrite(shapes / "cell01_MASK.tif", np.full((40, 40), 255, np.uint8))
    refused(lambda: learn(shapes, run), DataError, run, "cell01_MASK.tif", "48", "40")
    cut = make_folder(2, "cut")
    (cut / "cell00.tif").write_bytes((cut / "cell00.tif").read_bytes()[:700])
    refused(lambda: learn(cut, run), DataError, run, "cell00.tif")


def test_bad_settings_models_and_folders_are_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, run = make_folder(3), tmp_path / "run"
    refused(lambda: learn(source, run, epochs=0), SettingsError, run, "epochs")
    refused(lambda: learn(source, run, no_such=1), SettingsError, run, "no_such")
    refused(lambda: learn(source, run, init=source / "cell00.tif"), ModelFileError, run, "cell00.tif")
    if not torch.cuda.is_available():
        refused(lambda: learn(source, run, device="cuda"), SettingsError, run, "cuda")
    learn(source, run, epochs=1)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(RunFolderError, match="--resume"):
        learn(source, run)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    (run / "state.pt").write_bytes(b"rubbish")
    with pytest.raises(RunFolderError, match=r"state\.pt"):
        learn(source, run, resume=True)


def test_what_is_held_out_by_a_folder_of_its_own_is_not_learnt(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    inside = source / "held out"
    inside.mkdir()
    for name in ("cell00", "cell01"):
        for suffix in ("", "_MASK"):
            (source / f"{name}{suffix}.tif").rename(inside / f"{name}{suffix}.tif")
    copy = tmp_path / "copy.tif"
    copy.write_bytes((inside / "cell00.tif").read_bytes())
    copy.rename(source / "copy.tif")
    (source / "copy_MASK.tif").write_bytes((inside / "cell00_MASK.tif").read_bytes())
    result, events = learn(source, tmp_path / "run", val=inside, epochs=1)
    split = result.folder.read_run()["split"]
    assert sorted(Path(pair["image"]).name for pair in split["train"]) == ["cell02.tif", "cell03.tif"]
    assert len(split["held_out"]) == 2
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "3 of the images to learn from are held out by --val too and left out: what the model is measured on is not "
        "learnt."
    ]
    refused(lambda: learn(inside, tmp_path / "b", val=inside), DataError, tmp_path / "b", "All 2", "--val")


def test_a_class_may_have_any_name(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(3, classes=2)
    (source / "classes.json").write_text(json.dumps({"0": "background", "1": "$^$", "2": "日本"}))
    result, _ = learn(source, tmp_path / "run", epochs=1)
    assert result.folder.curves.stat().st_size > 1000

"""What a comparison is made of: variants, runs, their settings, folds, and the images that are shown."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from napari_attnseg.comparison.asked import Asked, Variant, labels_of, recipe_name
from napari_attnseg.comparison.folds import fold_pairs
from napari_attnseg.comparison.report.examples import chosen_images
from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError, SettingsError
from tests.comparison.test_paired_statistics import model, results

RECIPE = {
    "data": {"normalisation": "minmax", "val_fraction": 0.5},
    "model": {"name": "unet", "upsampling": "bilinear"},
    "training": {"loss": "focal", "epochs": 7, "seed": 9},
}


def test_all_that_was_asked_for_is_trained_a_repeat_at_a_time() -> None:
    asked = Asked(Path("d"), ("unet", "attention_se_unet"), ("dice", "bce"), repeats=2, folds=2)
    assert len(asked.variants) == 4
    names = [run.name for run in asked.runs]
    assert len(set(names)) == 16
    assert names[0] == "unet-dice-fold1-seed0"
    assert names[4] == "unet-dice-fold2-seed0"
    assert {run.seed for run in asked.runs[:8]} == {0}
    assert {run.seed for run in asked.runs[8:]} == {1}
    assert labels_of(asked.variants)[:2] == ["unet (dice)", "unet (bce)"]


def test_a_recipe_brings_its_model_and_loss_unless_they_are_named() -> None:
    alone = Asked(Path("d"), recipes={"mine": RECIPE})
    assert alone.variants == (Variant("unet", "focal", "mine"),)
    named = Asked(Path("d"), ("attention_se_unet",), ("dice",), {"mine": RECIPE, "other": {}})
    assert [variant.name for variant in named.variants] == [
        "attention_se_unet-dice-mine",
        "attention_se_unet-dice-other",
    ]
    assert labels_of(named.variants) == ["mine", "other"]
    different = Asked(Path("d"), recipes={"mine": RECIPE, "other": {}})
    assert labels_of(different.variants) == ["mine", "other"]
    assert labels_of(alone.variants) == ["unet"]
    assert [variant.model for variant in Asked(Path("d")).variants] == ["attention_se_unet", "unet"]


def test_options_go_before_a_recipe_and_the_split_is_never_a_recipes() -> None:
    asked = Asked(Path("d"), recipes={"mine": RECIPE}, given={"training": {"epochs": 3, "seed": 5}})
    (variant,) = asked.variants
    settings = asked.settings(variant, 6)
    assert (settings.training.epochs, settings.training.seed, settings.training.loss) == (3, 6, "focal")
    assert (settings.data.normalisation, settings.model.upsampling) == ("minmax", "bilinear")
    assert settings.data.val_fraction == 0.2
    assert asked.seed == 5
    wrong = Asked(Path("d"), ("unet",), given={"training": {"epochs": 0}})
    with pytest.raises(SettingsError, match=r"unet-dice_bce cannot be trained.*epochs"):
        wrong.settings(wrong.variants[0], 0)


def test_it_is_read_back_as_it_was_written() -> None:
    given = {"model": {"widths": (4, 8)}, "training": {"epochs": 2}}
    asked = Asked(Path("d").resolve(), ("unet",), ("dice",), {"mine": RECIPE}, 3, 2, given)
    kept = Asked.from_json(json.loads(json.dumps(asked.to_json())))
    assert kept.runs == asked.runs
    assert [kept.settings(run.variant, run.seed) for run in kept.runs] == [
        asked.settings(run.variant, run.seed) for run in asked.runs
    ]


def test_the_command_asks_for_the_same() -> None:
    from napari_attnseg.cli import parser

    given = {"data": {"group_pattern": r"p(\d+)"}, "model": {"widths": (4, 8)}, "training": {"epochs": 2}}
    asked = Asked(Path("my data"), ("unet",), ("dice",), {}, 3, 2, given)
    options = parser().parse_args(shlex.split(asked.command(Path("out")))[1:])
    assert (options.data, options.models, options.losses) == (Path("my data"), ["unet"], ["dice"])
    assert (options.repeats, options.folds, options.out) == (3, 2, Path("out"))
    assert options.setting_group_pattern == r"p(\d+)"
    assert options.setting_widths == [4, 8]
    assert options.setting_epochs == 2


def test_help_lists_what_can_be_compared_and_needs_no_torch() -> None:
    code = (
        "import sys\nfrom napari_attnseg.cli import main\ntry:\n    main(['compare', '--help'])\n"
        "except SystemExit:\n    pass\nassert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("attention_se_unet, unet", "dice_focal", "--max-minutes", "--group-pattern", "--widths"):
        assert word in done.stdout


def test_names_of_recipes_suit_a_folder() -> None:
    assert recipe_name("dsb-report") == "dsb-report"
    assert recipe_name("some/where/My recipe.json") == "My_recipe"
    assert recipe_name("runs/first try/run.json") == "first_try"
    assert recipe_name("runs/<b>.json") == "b"
    assert recipe_name("$.json") == "recipe"


def pairs(folder: Path, names: list[str]) -> list[Pair]:
    made = []
    for number, name in enumerate(names):
        image = folder / f"{name}.tif"
        image.write_bytes(bytes(10 + number))
        made.append(Pair(image, folder / f"{name}_MASK.tif"))
    return made


def test_each_image_is_held_out_once_and_groups_stay_together(tmp_path: Path) -> None:
    names = [f"p{patient}_{plane}" for patient in range(7) for plane in range(patient % 3 + 1)]
    given = pairs(tmp_path, names)
    folds = fold_pairs(given, 3, r"p(\d)", seed=4)
    assert sorted(pair.name for _, held_out in folds for pair in held_out) == sorted(names)
    for train, held_out in folds:
        assert {pair.name for pair in train} == set(names) - {pair.name for pair in held_out}
        assert not {pair.name[:2] for pair in train} & {pair.name[:2] for pair in held_out}
    sizes = [len(held_out) for _, held_out in folds]
    assert max(sizes) - min(sizes) <= 3
    assert fold_pairs(given[::-1], 3, r"p(\d)", seed=4) == folds
    assert fold_pairs(given, 3, r"p(\d)", seed=5) != folds


def test_too_few_images_or_groups_for_the_folds(tmp_path: Path) -> None:
    given = pairs(tmp_path, ["p1_a", "p1_b", "p2_a"])
    with pytest.raises(DataError, match="3 images with masks cannot be shared out into 4 folds"):
        fold_pairs(given, 4)
    with pytest.raises(DataError, match="in 2 groups cannot be shared out into 3 folds"):
        fold_pairs(given, 3, r"p\d")
    assert len(fold_pairs(given, 3)) == 3


def test_best_median_and_worst_are_by_the_mean_over_the_models() -> None:
    first = model("a", {"u": 90, "v": 10, "w": 50, "x": 60, "y": 70})
    second = model("b", {"u": 90, "v": 90, "w": 50, "x": 10, "y": 70})
    chosen = chosen_images(results(first, second))
    assert [(rank, image.result.name) for rank, image, _ in chosen] == [("best", "u"), ("median", "w"), ("worst", "x")]
    f1 = [2 * hits / (100 + hits) for hits in (60, 10)]
    assert chosen[2][2] == pytest.approx(sum(f1) / 2)
    only = chosen_images(results(model("a", {"u": 10})))
    assert [rank for rank, _, _ in only] == ["best"]

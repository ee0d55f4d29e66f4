"""Importing again after the source has grown: a value means one class, an image has one name, whatever came later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.classes import read_classes
from napari_attnseg.data.importers import folder
from napari_attnseg.data.importers.convert import convert
from napari_attnseg.data.importers.destination import Job
from napari_attnseg.data.pairs import find_pairs
from tests.importers.layouts import GREYS, chaos_volume, imported, report, run_import, stored, write_png, write_volume

IMAGE = np.random.default_rng(1).integers(0, 255, (20, 24)).astype(np.uint8)
LABELS = np.zeros((20, 24), np.uint8)
LABELS[3:9, 4:12] = 1
LABELS[12:, 12:] = 2


def add(source: Path, name: str, *greys: int) -> None:
    """Add an image whose mask holds these greys for 0, 1 and 2; without greys one without a mask."""
    write_png(source / f"{name}.png", IMAGE + np.uint8(len(list(source.glob("*")))))
    if greys:
        write_png(source / f"{name}_mask.png", np.array(greys, np.uint8)[LABELS])


def results(destination: Path) -> list[str]:
    """Return what became of each file."""
    return [row["Result"] for row in report(destination)]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Return a source of two classes, and where it was imported to."""
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        add(source, name, 0, 100, 200)
    assert run_import("folder", source, out) == 0
    return source, out


# ---- classes


def test_known_greys_keep_their_classes_and_new_ones_get_further(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = places
    add(source, "c", 0, 50, 100)
    assert run_import("folder", source, out) == 0
    assert "50 becomes class 3" in capsys.readouterr().out
    assert results(out) == ["there already", "there already", "converted"]
    assert np.array_equal(stored(out / "a_MASK.tiff"), LABELS)
    assert np.array_equal(stored(out / "c_MASK.tiff"), np.array([0, 3, 1])[LABELS])
    assert read_classes(out / "classes.json").names == ("background", "class 1", "class 2", "class 3")
    assert np.array_equal(imported(out)["c"][1][0], np.array([0, 3, 1])[LABELS])
    (source / "a_mask.png").unlink()
    (source / "b_mask.png").unlink()
    add(source, "d", 0, 200, 200)
    assert run_import("folder", source, out) == 0
    assert np.array_equal(stored(out / "d_MASK.tiff"), np.array([0, 2, 2])[LABELS]), "it would be binary alone"


def test_classes_that_were_named_or_added_since_stay(places: tuple[Path, Path]) -> None:
    source, out = places
    names = [{"id": 1, "name": "liver"}, {"id": 2, "name": "vessel", "color": "#ff0000"}, {"id": 3, "name": "tumour"}]
    (out / "classes.json").write_text(json.dumps(names))
    add(source, "c", 0, 50, 100)
    assert run_import("folder", source, out) == 0
    classes = read_classes(out / "classes.json")
    assert classes.names == ("background", "liver", "vessel", "tumour", "class 4")
    assert classes.colours[2] == "#ff0000"
    assert np.array_equal(stored(out / "c_MASK.tiff"), np.array([0, 4, 1])[LABELS])


def test_an_interrupted_import_goes_on_with_the_same_classes(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        add(source, name, 0, 100, 200)
    events: list = []
    plan, job = folder.find(source, folder.Options()), Job("folder", source, vars(_options()))
    assert convert(plan, out, job, on_event=events.append, should_stop=lambda: len(events) >= 2).stopped
    add(source, "c", 0, 50, 100)
    assert run_import("folder", source, out) == 0
    assert results(out) == ["there already", "converted", "converted"]
    assert np.array_equal(stored(out / "b_MASK.tiff"), LABELS)
    assert np.array_equal(stored(out / "c_MASK.tiff"), np.array([0, 3, 1])[LABELS])


def _options():
    """Return the options of the command without any."""
    from napari_attnseg.cli import parser

    options = parser().parse_args(["import", "folder", "in", "out"])
    for name in ("layout", "source", "destination", "overwrite", "command"):
        delattr(options, name)
    return options


@pytest.mark.parametrize(
    ("first", "second", "was"),
    [
        ((0, 100, 100), (0, 50, 100), "foreground alone"),
        ((0, 1, 2), (0, 1, 2), "the classes 1, 2 (values 1, 2)"),
    ],
)
def test_another_meaning_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: tuple, second: tuple, was: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    add(source, "a", *first)
    assert run_import("folder", source, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    add(source, "b", *second)
    if "classes" in was:  # numbered objects
        write_png(source / "b_mask.png", np.arange(480, dtype=np.uint16).reshape(20, 24))
    assert run_import("folder", source, out) == 1
    told = capsys.readouterr().err
    assert f"were imported as {was}" in told
    assert "--overwrite" in told
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run_import("folder", source, out, "--overwrite") == 0
    assert results(out) == ["converted", "converted"]
    assert (out / "classes.json").exists() == ("classes" not in was), "the one that is wrong now goes"
    assert run_import("folder", source, out) == 0, "all have one meaning again"


def test_binary_stays_binary_and_empty_masks_decide_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    add(source, "a", 0, 0, 0)
    assert run_import("folder", source, out) == 0
    add(source, "b", 0, 1, 1)
    assert run_import("folder", source, out) == 0
    add(source, "c", 0, 255, 255)
    assert run_import("folder", source, out) == 0
    assert results(out) == ["there already", "there already", "converted"]
    for name in ("b", "c"):
        assert np.array_equal(stored(out / f"{name}_MASK.tiff"), np.where(LABELS, 255, 0))


def test_overwriting_gives_all_masks_one_meaning_or_says_which_have_another(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = places
    add(source, "c", 0, 50, 100)
    (source / "a.png").unlink()
    monkeypatch.setattr("napari_attnseg.data.importers.convert._write", _stop_at("c.tiff"))
    with pytest.raises(RuntimeError, match="power cut"):
        run_import("folder", source, out, "--overwrite")
    monkeypatch.undo()
    assert run_import("folder", source, out) == 1
    assert "repeat it with --overwrite" in capsys.readouterr().err
    assert run_import("folder", source, out, "--overwrite") == 0
    assert np.array_equal(stored(out / "b_MASK.tiff"), np.array([0, 2, 3])[LABELS])
    assert np.array_equal(stored(out / "c_MASK.tiff"), LABELS)
    assert len(read_classes(out / "classes.json")) == 4
    assert [row["File"] for row in report(out) if "what it did before; remove it" in row["Note"]] == ["a.tiff"]
    assert run_import("folder", source, out) == 0


def _stop_at(file: str):
    from napari_attnseg.data.importers.convert import _write

    def write(output, path: Path) -> None:
        if path.name == file:
            raise RuntimeError("power cut")
        _write(output, path)

    return write


@pytest.mark.parametrize(("values", "code"), [((100, 200, 50), 0), ((200, 100), 1)])
def test_class_names_of_the_source_may_grow_but_not_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: tuple[int, ...], code: int
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    add(source, "a", 0, 100, 200)
    for listed in ((100, 200), values):
        entries = [{"id": number, "name": f"organ {value}", "value": value} for number, value in enumerate(listed, 1)]
        (source / "classes.json").write_text(json.dumps(entries))
        found = run_import("folder", source, out)
    assert found == code
    assert read_classes(out / "classes.json").names[1:3] == ("organ 100", "organ 200")
    assert len(read_classes(out / "classes.json")) == (4 if code == 0 else 3)
    assert ("one number would mean two things" in capsys.readouterr().err) == bool(code)


def test_painted_classes_are_not_mixed_with_imported_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        add(source, name)
    assert run_import("folder", source, out) == 0
    (out / "classes.json").write_text(json.dumps(["background", "nucleus", "cell"]))
    tifffile.imwrite(out / "a_MASK.tiff", LABELS)
    write_png(source / "b_mask.png", LABELS * 100)
    assert run_import("folder", source, out) == 1
    assert "have the classes of its classes.json" in capsys.readouterr().err
    assert len(find_pairs(out).annotated) == 1


def test_organs_of_ct_and_of_mr_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.importers.layouts import write_slice, write_t2

    source, out = tmp_path / "in", tmp_path / "out"
    image, labels = chaos_volume(2)
    for z in range(2):
        write_slice(source / "CT" / "5" / "DICOM_anon" / f"{z}.dcm", image[z], position=(0, 0, z))
        write_png(source / "CT" / "5" / "Ground" / f"{z}.png", np.where(labels[z] == 1, 255, 0).astype(np.uint8))
    assert run_import("chaos", source, out) == 0
    write_t2(source / "MR" / "8", image, labels)
    assert run_import("chaos", source, out) == 1
    assert "one number would mean two things" in capsys.readouterr().err


# ---- names


def test_names_stay_when_others_come(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / "1" / "scan.png", IMAGE)
    assert run_import("folder", source, out) == 0
    tifffile.imwrite(out / "scan_MASK.tiff", LABELS)
    write_png(source / "2" / "scan.png", IMAGE)
    for options in ((), ("--overwrite",)):
        assert run_import("folder", source, out, *options) == 0
        assert sorted(pair.name for pair in find_pairs(out).pairs) == ["2__scan", "scan"], "not imported twice"
    assert (stored(out / "2" / "2__scan.tiff") == IMAGE).all()


def test_subjects_of_chaos_keep_their_names(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    image, labels = (volume.transpose(2, 1, 0) for volume in chaos_volume())
    for name in ("ann_2", "ben_3"):
        write_volume(source / f"{name}.nii", image, None)
        write_volume(source / f"{name}_seg.nii", GREYS[labels], None)
    assert run_import("chaos", source, out) == 0
    write_volume(source / "cem_2.nii", image, None)
    assert run_import("chaos", source, out) == 0
    names = sorted(path.name for path in out.glob("*_stack.tiff"))
    assert names == ["chaos_02_stack.tiff", "chaos_03_stack.tiff", "chaos_cem-2_stack.tiff"]

"""A comparison that goes on elsewhere or with more repeats: what is done stays, and the report says what was where."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_attnseg.cli import main, parser
from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.preparing import prepare
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.comparison.scoring import training_of
from napari_attnseg.comparison.taking_up import require_same, taken_up
from napari_attnseg.errors import RunFolderError, SettingsError
from napari_attnseg.events import Event, Finished, Notice, Progress, Started, ignore_event
from napari_attnseg.training.run_folder import RunFolder
from tests.comparison.page_content import PageContent
from tests.comparison.test_compare import TINY, compare, fill, kill_child, once, rows_of

OUT = Path("out")


def asked(repeats: int = 2, **training: Any) -> Asked:
    given = {"model": {"widths": [4, 8]}, "training": training} if training else {"model": {"widths": [4, 8]}}
    return Asked(Path("data"), ("unet",), repeats=repeats, given=given)


def test_it_goes_on_with_more_repeats_and_where_it_is_asked_for() -> None:
    was = asked(2, epochs=3, device="cpu", precision="float32")
    now = asked(4, epochs=3, device="cuda", image_memory=2.5)
    require_same(was, now, OUT)
    goes_on = taken_up(was, now)
    assert [run.seed for run in goes_on.runs] == [0, 1, 2, 3]
    assert goes_on.runs[:2] == was.runs
    training = {"epochs": 3, "device": "cuda", "precision": "float32", "image_memory": 2.5}
    assert goes_on.given == {"model": {"widths": [4, 8]}, "training": training}, "what is not given stays"
    assert taken_up(asked(), asked()).given == asked().given


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (asked(1, epochs=3), "was asked for with repeats 2, not 1; ask for as many or more to go on"),
        (asked(2), "with the setting epochs 3, not left at the default"),
        (asked(2, epochs=3, batch_size=4), "with the setting batch_size left at the default, not 4"),
        (asked(2, epochs=3, seed=1), "with the setting seed left at the default, not 1"),
        (replace(asked(2, epochs=3), folds=3), "with folds 0, not 3"),
        (replace(asked(2, epochs=3), data=Path("other")), "was begun with the data"),
        (replace(asked(2, epochs=3), recipes={"mine": {}}), "with recipes left at the default, not mine"),
    ],
)
def test_anything_else_is_refused(now: Asked, words: str) -> None:
    with pytest.raises(RunFolderError, match=r"The comparison in out .*or choose another --out\.") as caught:
        require_same(asked(2, epochs=3), now, OUT)
    assert words in str(caught.value)


def test_the_record_keeps_what_was_before_and_how_to_have_it_all_again(tmp_path: Path) -> None:
    folder = ComparisonFolder(tmp_path)
    record = Record(asked(1, device="cpu"), (((), ()),), "as typed")
    assert record.taken_up(asked(1, device="cpu"), OUT) is record
    assert record.taken_up(asked(1), OUT) is record, "what is not given stays"
    record = record.taken_up(asked(2, device="cuda", precision="float32"), OUT)
    record = record.taken_up(asked(2, device="auto"), OUT)
    assert record.earlier == {"device": ["cpu", "cuda"], "precision": [None]}
    options = parser().parse_args(shlex.split(record.command)[1:])
    assert (options.repeats, options.setting_device, options.setting_precision) == (2, "auto", "float32")
    folder.write(record)
    assert folder.read().earlier == record.earlier
    old = json.loads(folder.json.read_text())
    del old["earlier"]  # as it was written at first
    folder.json.write_text(json.dumps(old))
    assert folder.read().earlier == {}


def test_the_record_names_each_machine_once() -> None:
    record = Record(asked(), (((), ()),), "")
    assert record.computed_here() == record
    elsewhere = replace(record, machine="Linux x86_64, i486", versions={"torch": "1.0", "old": "2.0"})
    here = elsewhere.computed_here()
    assert here.machine == f"Linux x86_64, i486 then {record.machine}"
    assert here.versions["torch"] == f"1.0 then {record.versions['torch']}"
    assert (here.versions["old"], here.versions["numpy"]) == ("2.0", record.versions["numpy"])
    assert here.computed_here() == here


def test_unfinished_trainings_go_on_elsewhere_and_finished_ones_stay(tmp_path: Path) -> None:
    data, folder = fill(tmp_path / "data", ["a", "b", "c", "d"]), ComparisonFolder(tmp_path / "out")
    folder.path.mkdir()

    def ask(repeats: int, **training: Any) -> Record:
        given = {"training": training} if training else {}
        return prepare(folder, Asked(data, ("unet",), repeats=repeats, given=given), ignore_event, lambda: False)

    def plan(seed: int) -> Path:
        return folder.run_path(f"unet-dice_bce-seed{seed}") / "run.json"

    begun = ask(4, device="cpu", precision="float32")
    for seed in range(4):  # as if the GPU of another machine had decided on it
        values = json.loads(plan(seed).read_text())
        values["settings"]["model"]["widths"] = [4, 8, 12]
        plan(seed).write_text(json.dumps(values))
    plan(0).with_name("scores.json").write_text("{}")
    RunFolder(plan(1).parent).append_event(Finished())
    plan(1).with_name("best.safetensors").write_bytes(b"")
    plan(3).write_text("{}")
    kept = {seed: plan(seed).read_bytes() for seed in (0, 1, 3)}
    with pytest.raises(SettingsError, match="no Apple GPU"):
        ask(6, device="mps")
    with pytest.raises(SettingsError, match="float16"):
        ask(6, precision="float16")
    assert folder.read() == begun, "nothing was written"
    assert not plan(4).exists()

    record = ask(6, precision="bfloat16", image_memory=1.5)
    assert folder.read() == record
    assert (record.asked.repeats, record.splits, record.created) == (6, begun.splits, begun.created)
    assert {seed: plan(seed).read_bytes() for seed in kept} == kept
    found = {seed: json.loads(plan(seed).read_text()) for seed in (2, 4, 5)}
    for seed, values in found.items():
        training = values["settings"]["training"]
        assert (training["seed"], training["device"], training["precision"]) == (seed, "cpu", "bfloat16")
        assert training["image_memory"] == 1.5
        assert values["settings"]["model"]["widths"] == [4, 8, 12], "those of the trainings before"
        assert values["split"] == found[2]["split"]

    for seed in range(6):
        plan(seed).with_name("scores.json").write_text("{}")
    assert ask(6, precision="float32") == record, "with all done there is nothing to compute elsewhere"
    assert folder.read() == record


@pytest.mark.parametrize(
    ("events", "scored_on", "expected"),
    [
        ([Started("", "CPU, 2 threads, float32 (as asked for)")], "CPU, 1 thread, bfloat16", "CPU, 2 threads, float32"),
        ([Started("", "CPU, x"), Started("", "GPU A, y")], "GPU A, y", "GPU A, y"),
        ([Started("", "CPU, x"), Started("", "GPU A, y"), Notice("Resumed after epoch 1, step 2.")], "GPU A, y",
         "CPU, x, then GPU A, y"),
        ([Started("", "CPU, x"), Started("", "CPU, x"), Notice("Resumed after epoch 1, step 2.")], "CPU, x", "CPU, x"),
        ([Started("", "CPU, x")], "GPU A, y", "CPU, x, then GPU A, y"),
    ],
)  # fmt: skip
def test_a_training_tells_all_devices_that_did_a_part(
    events: list[Event], scored_on: str, expected: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    for event in events:
        folder.append_event(event)
    assert training_of(folder, scored_on)["device"] == expected


def test_the_memory_is_that_of_the_last_device(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    resumed = Notice("Resumed after epoch 1, step 2.")
    for device, memory in (("CPU, x", 50), ("GPU A, y", 7), ("GPU A, y", 5)):
        for event in (Started("", device), resumed, Progress(0.5, details={"memory": memory})):
            folder.append_event(event)
    assert training_of(folder, "GPU A, y")["memory"] == 7


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send to a child")
@pytest.mark.timeout(300)
def test_a_comparison_goes_on_in_another_precision_and_with_more_repeats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = fill(tmp_path / "data", ["a", "b", "c"]), tmp_path / "out"
    first, second = (out / f"runs/unet-dice_bce-seed{seed}" for seed in range(2))
    ask = [data, "--models", "unet", *TINY, "--epochs", 10, "--out", out]
    kill = once(first / "state.pt", lambda: kill_child(first))
    assert compare(*ask, "--precision", "float32") == 1
    kill.join()
    split = json.loads((out / "comparison.json").read_text())["splits"]
    capsys.readouterr()
    assert compare(*ask, "--precision", "bfloat16", "--repeats", 2) == 0
    assert "Resumed after" in (first / "events.jsonl").read_text()
    record = json.loads((out / "comparison.json").read_text())
    assert record["splits"] == split
    assert record["failures"] == {}
    one, other = (json.loads((run / "scores.json").read_text())["device"] for run in (first, second))
    assert "float32, then CPU" in one
    assert one.endswith(f", then {other}")
    assert other.endswith("bfloat16")
    text = PageContent(out / "report.html").text
    assert "trained twice (seeds 0 and 1)" in text
    assert f"Not everything was computed alike: {one} (1 training); {other} (1 training)." in text
    assert "precision bfloat16 (before float32)" in text
    assert "their minutes are not to be compared" in text
    assert [row[1] for row in PageContent(out / "report.html").rows if row[0] == "unet"][-2:] == [one, other]
    assert rows_of(out / "summary.csv")[0]["Computed on"] == f"{one}; {other}"

    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert compare(*ask, "--repeats", 2, "--precision", "float32") == 0
    assert "2 trainings (2 done already)" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if path.is_file()} == before
    assert json.loads((out / "comparison.json").read_text()) == record
    assert compare(*ask) == 1
    assert "with repeats 2, not 1; ask for as many or more" in capsys.readouterr().err
    assert main(["compare", str(out), "--report-only", "--device", "mps"]) == 0
    assert "unet has no pictures: Device 'mps' was asked for" in PageContent(out / "report.html").text

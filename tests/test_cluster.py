"""Images shared out over the workers of a dask cluster: all of them, once, whatever happens to a worker."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
from distributed import Client, LocalCluster

from napari_attnseg.cli import main
from napari_attnseg.cluster import connection, predicting, sharing, warm_model
from napari_attnseg.cluster.connection import connected
from napari_attnseg.cluster.evaluating import evaluate_images
from napari_attnseg.cluster.predicting import predict_images
from napari_attnseg.cluster.progress import ClusterProgress
from napari_attnseg.cluster.sharing import Team, team
from napari_attnseg.comparison import side_by_side
from napari_attnseg.engine import evaluate, fit
from napari_attnseg.errors import ClusterError, Stopped
from napari_attnseg.events import Event, Notice, Progress, Started, ignore_event
from napari_attnseg.prediction.claim import claimed
from napari_attnseg.prediction.outcome import Outcome
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.room import free_memory
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.settings import PredictionSettings
from tests.conftest import TINY, blobs, damage_tile

COUNT = 24
ON_CPU = PredictionSettings(device="cpu", precision="float32")
AS_OPTIONS = ["--device", "cpu", "--precision", "float32"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder of pairs, a model for them, and what it predicts without a cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    data = folder / "data"
    data.mkdir()
    for number in range(COUNT):
        image, labels = blobs(number, (300, 260))
        tifffile.imwrite(data / f"cell{number:02d}.tif", image)
        tifffile.imwrite(data / f"cell{number:02d}_MASK.tif", labels * 255)
    model = fit(data, folder / "run", **{**TINY, "epochs": 1}).folder.best
    assert main(["predict", str(model), str(data), "--out", str(folder / "local"), *AS_OPTIONS]) == 0
    return SimpleNamespace(data=data, model=model, local=folder / "local")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process of its own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as found:
        yield found


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with connected(cluster.scheduler_address, 30) as found:
        found.wait_for_workers(2, timeout=30)
        yield found


def outputs(made: SimpleNamespace, folder: Path) -> dict[Path, Path]:
    """Say where each prediction goes."""
    folder.mkdir()
    images = sorted(path for path in made.data.iterdir() if "_MASK" not in path.name)
    return {path: folder / f"{path.stem}_PRED.tif" for path in images}


def test_a_killed_worker_costs_no_image(made: SimpleNamespace, client: Client, tmp_path: Path) -> None:
    pids = list(client.run(os.getpid).values())
    events: list[Event] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Progress) and not any(isinstance(one, Progress) for one in events):
            os.kill(pids[0], signal.SIGKILL)
        events.append(event)

    out = tmp_path / "out"
    assert predict_images(client, made.model, ON_CPU, outputs(made, out), on_event, lambda: False) == Outcome(COUNT)
    shares = [event.done for event in events if isinstance(event, Progress)]
    assert shares == sorted(set(shares))
    assert len(shares) == COUNT
    assert shares[-1] == 1
    assert "2 x CPU" in next(event.device for event in events if isinstance(event, Started))
    expected = {path.name for path in made.local.iterdir()}
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == expected
    for path in made.local.iterdir():
        assert np.array_equal(tifffile.imread(path), tifffile.imread(out / path.name))
    assert pids[0] not in client.run(os.getpid).values()


def test_rows_of_large_images_count_in_the_progress(made: SimpleNamespace, tmp_path: Path) -> None:
    places = outputs(made, tmp_path / "out")
    first, second = list(places)[:2]
    events: list[Event] = []
    now = [0.0]
    progress = ClusterProgress(places, 0, events.append, lambda: now[0])
    settings = ON_CPU.model_copy(update={"tile_by_tile": "always", "tile_size": 64, "overlap": 16, "batch_size": 1})
    rows: list[int] = []
    with pytest.raises(Stopped):
        predict_streamed(
            Predictor(made.model, settings), second, tmp_path / "out",
            lambda large: rows.append(large.rows_done), lambda: rows[-1:] == [2],
        )  # fmt: skip
    progress.look()
    assert not events, "looked at a moment ago"
    now[0] = 10.0
    progress.look()
    now[0] = 20.0
    progress.look()
    (event,) = (one for one in events if isinstance(one, Progress))
    assert event.message.startswith(f"0 of {COUNT}, {second.name}: row 2 of ")
    share = 0.93 * 2 / int(event.message.split()[-1]) / COUNT
    assert event.done == pytest.approx(share)
    assert event.seconds_left == pytest.approx(10 * (1 - share) / share)
    progress.one_more(first)
    progress.one_more(second)
    now[0] = 30.0
    progress.look()  # rows of what failed stay, and count no second time
    seconds = iter((0.0, 10.0, 20.0))
    ClusterProgress(places, 0, events.append, lambda: next(seconds)).look()  # what was there before is no progress
    shares = [one.done for one in events if isinstance(one, Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 2 / COUNT


def test_evaluate_gathers_the_same_scores(
    made: SimpleNamespace, cluster: LocalCluster, client: Client, tmp_path: Path
) -> None:
    table = tmp_path / "scores.csv"
    command = ["evaluate", str(made.model), str(made.data), "--out", str(table), *AS_OPTIONS]
    assert main([*command, "--scheduler", cluster.scheduler_address]) == 0
    evaluate(made.model, made.data, device="cpu", precision="float32").write_csv(tmp_path / "local.csv")
    assert table.read_text() == (tmp_path / "local.csv").read_text()


def test_evaluate_needs_no_device_of_its_own(
    made: SimpleNamespace, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login node has no GPU, and those who work have one."""

    def score(model: Path, *rest: Any) -> Any:
        return evaluate_images(client, model, ON_CPU, *rest)

    monkeypatch.setattr(side_by_side, "Predictor", _unusable)
    settings = PredictionSettings(device="cuda")
    found = side_by_side.evaluate_models(
        [made.model],
        made.data,
        settings,
        score=score,
        on_event=ignore_event,
        should_stop=lambda: False,
        on_failure=_unusable,
    )
    assert len(found[0].evaluation.images) == COUNT


def _unusable(*_: object) -> None:
    raise AssertionError("the model is loaded where nothing is computed")


def _fail(name: str, number: int) -> int:
    if number == 1:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return number


def test_an_error_of_the_program_on_a_worker_costs_one_image(made: SimpleNamespace, client: Client) -> None:
    with team(client, made.model, ON_CPU, [made.data], ignore_event, lambda: False) as workers:
        tasks = [(number,) for number in range(3)]
        found = {one.number: one for one in workers.each(_fail, tasks, ignore_event, lambda: False)}
    assert [found[number].value for number in range(3)] == [0, None, 2]
    assert "CUDA error: an illegal memory access" in found[1].failure


def test_a_stop_cancels_what_has_not_begun(made: SimpleNamespace, client: Client, tmp_path: Path) -> None:
    events: list[Event] = []
    out = tmp_path / "out"
    stop: Callable[[], bool] = lambda: any(isinstance(event, Progress) for event in events)  # noqa: E731
    outcome = predict_images(client, made.model, ON_CPU, outputs(made, out), events.append, stop)
    assert 1 <= outcome.written < COUNT
    assert not outcome.failed
    time.sleep(1)
    assert outcome.written <= len(list(out.iterdir())) < COUNT
    assert not client.run(lambda dask_worker: [name for name in dask_worker.plugins if "attnseg" in name]).popitem()[1]


def test_images_that_cannot_be_read_are_named_and_the_others_are_written(
    made: SimpleNamespace, cluster: LocalCluster, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for number in range(2):
        shutil.copy(made.data / f"cell{number:02d}.tif", data)
    (data / "broken.tif").write_bytes((data / "cell00.tif").read_bytes()[:2000])
    tifffile.imwrite(data / "cell01.tif", blobs(1, (300, 260))[0], tile=(64, 64), compression="zlib")
    damage_tile(data / "cell01.tif", 3)
    command = ["predict", str(made.model), str(data), "--out", str(out), *AS_OPTIONS]
    assert main([*command, "--scheduler", cluster.scheduler_address]) == 1
    output, error = capsys.readouterr()
    assert "1 of 3 images could not be predicted" in error
    assert "broken.tif" in error
    assert "Note: cell01.tif was predicted with gaps" in output
    assert {path.name for path in out.iterdir()} == {"cell00_PRED.tif", "cell01_PRED.tif", "cell01_PRED_gaps.json"}
    for name in ("cell00", "cell01", "broken"):
        tifffile.imwrite(data / f"{name}_MASK.tif", blobs(1, tifffile.imread(out / "cell00_PRED.tif").shape)[1] * 255)
    table = tmp_path / "scores.csv"
    command = ["evaluate", str(made.model), str(data), "--out", str(table), *AS_OPTIONS]
    assert main([*command, "--scheduler", cluster.scheduler_address]) == 1
    assert "2 of 3 images could not be scored" in capsys.readouterr().err
    assert [line.split(",")[0] for line in table.read_text().splitlines()] == ["Image", "cell00"]


def test_an_image_in_use_elsewhere_is_waited_for_and_costs_only_itself(
    made: SimpleNamespace, client: Client, tmp_path: Path
) -> None:
    """As where a worker that ends is still at its last tiles when another one takes its image over."""
    where = dict(list(outputs(made, tmp_path / "out").items())[:3])
    settings = ON_CPU.model_copy(update={"tile_by_tile": "always"})

    def be_patient(seconds: float) -> None:
        client.run(lambda: setattr(predicting, "_SECONDS_IN_USE", seconds))

    def in_use() -> AbstractContextManager[None]:
        return claimed(tmp_path / "out" / ".cell00_PRED.lock", "cell00.tif is being predicted")

    be_patient(0)
    with in_use():
        outcome = predict_images(client, made.model, settings, where, ignore_event, lambda: False)
    assert outcome.written == 2
    assert [sentence.split(" already, by process")[0] for sentence in outcome.failed] == [
        f"cell00.tif is being predicted into {tmp_path / 'out'}"
    ]
    be_patient(1000)
    with ExitStack() as stack:
        stack.enter_context(in_use())

        def on_event(event: Event) -> None:
            if isinstance(event, Progress):
                stack.close()

        assert predict_images(client, made.model, settings, where, on_event, lambda: False) == Outcome(3)


def test_a_client_that_is_gone_leaves_no_model_and_no_worker_takes_more_than_it_may(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_model, "_SECONDS_IDLE", 0.2)
    limit = psutil.Process().memory_info().rss + 10**9
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(memory_limit=limit, **options) as small, Client(small, set_as_default=False) as client:
        (worker,) = small.workers.values()
        with team(client, made.model, ON_CPU, [tmp_path], ignore_event, lambda: False) as workers:
            model = worker.plugins[workers.model.name]
            for _ in range(600):
                if model._loaded is None:
                    break
                time.sleep(0.05)
            assert model._loaded is None, "it is kept, though there is no work"
            with model.in_use() as predictor:
                time.sleep(0.4)
                assert model._loaded is predictor, "it was taken from under whoever uses it"
            with model.in_use():
                assert free_memory() < 0.9e9, "what is read as a whole on a worker does not know what is granted"
            assert free_memory() > 0.9e9
            model._memory_limit = None
            with model.in_use():
                assert free_memory() > 0.9e9


def test_workers_that_are_not_fit_are_named(
    made: SimpleNamespace, cluster: LocalCluster, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared(folder: Path) -> Any:
        return team(client, made.model, ON_CPU, [folder], ignore_event, lambda: False)

    with pytest.raises(ClusterError, match=r"The worker tcp.* does not see .*nowhere"), prepared(tmp_path / "nowhere"):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(warm_model, "digest_of", lambda path: "another")
        with pytest.raises(ClusterError, match="has another model under"), prepared(tmp_path):
            pass
    monkeypatch.setattr(connection, "version", lambda name: "99.0")
    with pytest.raises(ClusterError, match=r"has version \S+, and this is version 99"):
        connection._require_same_version(client, cluster.scheduler_address, 30, lambda: False)


def test_a_scheduler_that_does_not_answer_is_one_sentence(
    made: SimpleNamespace, cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(made.model), str(made.data), "--out", str(tmp_path / "out"), "--scheduler-timeout", "1"]
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        for listens in (False, True):
            if listens:
                deaf.listen()
            assert main([*command, "--scheduler", silent]) == 1
            error = capsys.readouterr().err
            assert error.startswith(f"napari-attnseg: The scheduler {silent} did not answer within 1 seconds")
            assert error.count("\n") == 1
    worker = next(iter(cluster.scheduler_info["workers"]))
    assert main([*command, "--scheduler-timeout", "10", "--scheduler", worker]) == 1
    assert "there is a worker of dask; give the address of the scheduler" in capsys.readouterr().err


def test_a_cluster_without_workers_is_one_sentence(tmp_path: Path) -> None:
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        with pytest.raises(ClusterError, match="has no workers; start some with: dask worker "), connected(address, 1):
            pass
        with pytest.raises(Stopped), connected(address, 1000, lambda: True):
            pass


def test_a_worker_that_goes_while_it_is_asked_is_not_waited_for(
    made: SimpleNamespace, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = client.nthreads()
    monkeypatch.setattr(client, "nthreads", lambda: there | {"tcp://127.0.0.1:9": 1})
    with team(client, made.model, ON_CPU, [tmp_path], ignore_event, lambda: False) as workers:
        assert "x CPU" in workers.device


def test_lost_workers_are_told_of(made: SimpleNamespace, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_SECONDS_BETWEEN_LOOKS", 0.0)
    events: list[Event] = []
    watch = sharing._Watch(client, events.append, lambda: False)
    watch._workers.add("tcp://gone:1")
    assert watch._question.is_answered(30)
    watch.look()
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "The worker tcp://gone:1 was lost; others do its images."
    ]


class Scheduler:
    """A scheduler with one worker, each a process of its own, without PyTorch."""

    def __init__(self, folder: Path) -> None:
        note, quiet = folder / "scheduler.json", ["--no-dashboard", "--scheduler-file"]
        commands = {
            "scheduler": ["--host", "127.0.0.1", "--port", "0", *quiet, str(note)],
            "worker": ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", *quiet, str(note)],
        }
        self.process, self._worker = (
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options], stderr=subprocess.DEVNULL, cwd=folder
            )
            for kind, options in commands.items()
        )
        self._note = str(note)

    def wait(self) -> None:
        """Wait until both are there."""
        with Client(scheduler_file=self._note, timeout=60, set_as_default=False) as first:
            first.wait_for_workers(1, timeout=60)
            self.address = first.scheduler.address

    def stand_still(self) -> None:
        """Answer nobody any more."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer what was asked meanwhile."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End both."""
        for process in (self.process, self._worker):
            process.kill()
            process.wait()


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    monkeypatch.setattr(sharing, "_SECONDS_TO_TELL", 0.5)
    monkeypatch.setattr(sharing, "_SECONDS_TO_FORGET", 0.5)
    found = Scheduler(tmp_path)
    try:
        found.wait()
        yield found
    finally:
        found.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let a process stand still")
def test_a_scheduler_that_stands_still_is_told_of_and_not_waited_for_for_ever(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(client: Client, on_notice: Callable[[], object], should_stop: Callable[[], bool]) -> tuple[int, str]:
        """Have 6 numbers doubled; the scheduler stands still after the second one."""
        told, done = list[str](), list[int]()

        def double(name: str, number: int) -> int:
            time.sleep(0.2)
            return 2 * number

        def on_event(event: Event) -> None:
            assert isinstance(event, Notice)
            told.append(event.message)
            on_notice()

        workers = Team(client, SimpleNamespace(name="model"), "CPU")  # type: ignore[arg-type]
        tasks = [(number,) for number in range(6)]
        try:
            for outcome in workers.each(double, tasks, on_event, should_stop):
                assert outcome.value == 2 * outcome.number
                done.append(outcome.number)
                if len(done) == 2:
                    scheduler.stand_still()
        except (ClusterError, Stopped) as error:
            told.append(repr(error))
        finally:
            scheduler.go_on()
        return len(done), " ".join(told)

    asked_to_stop: list[bool] = []
    with connected(scheduler.address, 30) as client:
        done, told = work(client, scheduler.go_on, lambda: False)
        assert done == 6
        assert "The scheduler has not answered since" in told
        assert "The scheduler answers again." in told

        began = time.monotonic()
        done, told = work(client, lambda: asked_to_stop.append(True), lambda: bool(asked_to_stop))
        assert 2 <= done < 6
        assert told.endswith("Stopped()")
        assert time.monotonic() - began < 8

        monkeypatch.setattr(sharing, "_SECONDS_TO_GIVE_UP", 1.5)
        done, told = work(client, lambda: None, lambda: False)
        assert 2 <= done < 6
        assert told.endswith(f"{ClusterError(connection.GONE)!r}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let a process stand still")
def test_a_scheduler_that_stands_still_at_the_beginning_or_the_end(scheduler: Scheduler) -> None:
    address, never = scheduler.address, lambda: False
    with connected(address, 30) as client:
        scheduler.stand_still()
        with pytest.raises(ClusterError, match=r"The scheduler \S+ did not answer within 0.5 seconds"):
            connection._wait_for_worker(client, address, 0.5, never)
        with pytest.raises(ClusterError, match=r"or one of its workers, did not answer within 0.5 seconds"):
            connection._require_same_version(client, address, 0.5, never)
        began = time.monotonic()
    assert time.monotonic() - began < 8, "the client is closed as if there were somebody to take leave of"
    began, stop = time.monotonic(), iter([False, False, True])
    with pytest.raises(Stopped), connected(address, 1000, lambda: next(stop)):
        pass
    assert time.monotonic() - began < 8

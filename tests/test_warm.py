"""The warm prediction process as the viewer uses it: a real child process, asked, cancelled, killed and closed."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_attnseg.warm import (
    Described,
    Predicted,
    Predicting,
    PredictionCancelled,
    PredictionFailed,
    PredictRequest,
    Reply,
    WarmPredictor,
)
from tests.prediction.test_predictor import GREYS, model, noise, predictor

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
Make = Callable[..., "Warm"]


class Warm(WarmPredictor):
    """A predictor whose replies are collected."""

    def __init__(self, scratch: Path, *options: str) -> None:
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.progress: list[Predicting] = []
        self.threads: set[str] = set()
        self.place = scratch
        super().__init__(self.keep, scratch, device="cpu", options=options)

    def keep(self, reply: Reply) -> None:
        self.threads.add(threading.current_thread().name)
        if isinstance(reply, Predicting):
            self.progress.append(reply)
        else:
            self.replies.put(reply)

    def last(self) -> Reply:
        """Return the next reply that is no progress."""
        return self.replies.get(timeout=60)

    def answer(self, request: PredictRequest) -> Reply:
        number = self.predict(request)
        reply = self.last()
        assert reply.number == number
        return reply

    def files(self) -> list[str]:
        return sorted(path.name for path in self.place.rglob("*") if path.is_file())


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def make(scratch: Path) -> Iterator[Make]:
    made: list[Warm] = []

    def _make(*options: str) -> Warm:
        made.append(Warm(scratch, *options))
        return made[-1]

    yield _make
    for one in made:
        one.close()
        assert not one.is_running
    assert not list(scratch.iterdir()), "nothing is left"


@pytest.fixture
def request_of(tmp_path: Path) -> PredictRequest:
    """A model and an image, in a folder with a name as people give them."""
    folder = tmp_path / "Zellkerne Größe 5 µm ☃"
    folder.mkdir()
    tifffile.imwrite(folder / "Bild ä.tif", noise(45, 61))
    return PredictRequest(model(folder / "Modell é.safetensors"), folder / "Bild ä.tif")


def long_stack(folder: Path, planes: int = 400) -> Path:
    tifffile.imwrite(folder / "long.tif", noise(planes, 96, 96), imagej=True, metadata={"axes": "ZYX"})
    return folder / "long.tif"


def changed(request: PredictRequest, **values: object) -> PredictRequest:
    return PredictRequest(**{**vars(request), **values})  # type: ignore[arg-type]


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_predict_describe_and_a_plane(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    assert not warm.is_running, "started by the first request"
    number = warm.describe()
    found = warm.last()
    assert isinstance(found, Described)
    assert (found.number, found.is_gpu) == (number, False)
    assert found.device.startswith("CPU, ")
    asked = changed(request_of, attention=True, uncertainty=True)
    reply = warm.answer(asked)
    assert isinstance(reply, Predicted)
    assert reply.request == asked
    direct = predictor(asked.model, probability=True, attention=True).predict_file(asked.image)
    # two processes may share sums out among their threads in different ways
    np.testing.assert_allclose(reply.probability, direct.probability, rtol=0, atol=1e-5)
    assert reply.attention is not None
    assert reply.uncertainty_map is not None
    assert np.abs(reply.attention - direct.attention).max() < 1e-3
    assert reply.uncertainty_map.shape == (1, 45, 61)
    assert 0 < reply.uncertainty <= 1
    assert not reply.probability.flags.writeable
    assert warm.files() == ["log.txt"], "arrays are taken from the disk"
    tifffile.imwrite(asked.image.parent / "s.tif", noise(3, 40, 36), imagej=True, metadata={"axes": "ZYX"})
    one = warm.answer(changed(request_of, image=asked.image.parent / "s.tif", plane=(2,)))
    assert isinstance(one, Predicted)
    assert one.probability.shape == (1, 1, 40, 36)
    assert one.attention is None
    assert warm.threads == {"prediction replies"}


def test_what_goes_wrong_is_a_sentence_and_the_process_goes_on(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    folder = request_of.image.parent
    broken = folder / "broken.safetensors"
    broken.write_bytes(b"no model")
    reply = warm.answer(changed(request_of, model=broken))
    assert isinstance(reply, PredictionFailed)
    assert "not a readable model file" in reply.sentence
    assert reply.log is not None
    assert reply.log.is_file()
    pid = warm.pid
    tifffile.imwrite(folder / "rgb.tif", noise(40, 36, 3).astype(np.uint8), photometric="rgb")
    reply = warm.answer(changed(request_of, image=folder / "rgb.tif"))
    assert isinstance(reply, PredictionFailed)
    assert "rgb.tif has 3 channels" in reply.sentence
    assert isinstance(warm.answer(changed(request_of, image=folder / "rgb.tif", channels="grey")), Predicted)
    reply = warm.answer(changed(request_of, axes="QQ"))
    assert isinstance(reply, PredictionFailed)
    assert "'axes'" in reply.sentence
    assert isinstance(warm.answer(request_of), Predicted)
    time.sleep(0.01)
    model(request_of.model, GREYS)
    replaced = warm.answer(request_of)
    assert isinstance(replaced, Predicted)
    assert replaced.probability.shape[1] == 4
    request_of.model.unlink()
    reply = warm.answer(request_of)
    assert isinstance(reply, PredictionFailed)
    assert "There is no model file" in reply.sentence
    assert warm.pid == pid


def test_cancel_in_the_midst(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    asked = changed(request_of, image=long_stack(request_of.image.parent), attention=True)
    number = warm.predict(asked)
    until(lambda: any(report.done > 0 for report in warm.progress))
    warm.cancel(number)
    warm.cancel(number)
    assert warm.last() == PredictionCancelled(number, asked)
    assert isinstance(warm.answer(request_of), Predicted)
    assert max(report.done for report in warm.progress if report.number == number) < 1
    assert all(report.seconds_left is None or report.seconds_left >= 0 for report in warm.progress)
    until(lambda: warm.files() == ["log.txt"])
    warm.cancel(number)
    warm.cancel(12345)
    assert isinstance(warm.answer(request_of), Predicted)


def test_cancel_while_the_process_starts(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    numbers = {warm.predict(request_of) for _ in range(5)}
    warm.describe()
    for number in numbers:
        warm.cancel(number)
    replies = [warm.last() for _ in range(6)]
    assert {reply.number for reply in replies if isinstance(reply, PredictionCancelled)} == numbers
    assert isinstance(replies[-1], Described)
    assert warm.replies.empty()


def test_urgent_first(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    slow = changed(request_of, image=long_stack(request_of.image.parent), urgent=False)
    first, second = warm.predict(slow), warm.predict(changed(request_of, urgent=False))
    until(lambda: any(report.done > 0 for report in warm.progress))
    third = warm.predict(request_of)
    assert warm.last().number == third
    warm.cancel(first)
    assert [warm.last().number for _ in range(2)] == [first, second]


@posix
def test_kill_9_fails_what_was_asked_and_the_next_request_starts_anew(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    slow = changed(request_of, image=long_stack(request_of.image.parent), urgent=False)
    numbers = [warm.predict(slow), warm.predict(request_of)]
    until(lambda: warm.progress)
    assert warm.pid is not None
    os.kill(warm.pid, 9)
    failed: list[Reply] = [warm.last()]
    if isinstance(failed[0], Predicted):  # the short one was done before
        numbers.remove(failed.pop().number)
        failed.append(warm.last())
    failed += [warm.last() for _ in numbers[1:]]
    assert [reply.number for reply in failed] == numbers
    for reply in failed:
        assert isinstance(reply, PredictionFailed)
        assert reply.sentence == "The prediction process was killed, most likely because memory ran out."
    assert isinstance(warm.answer(request_of), Predicted)


@posix
def test_its_folder_may_be_tidied_away(make: Make, request_of: PredictRequest, scratch: Path) -> None:
    warm = make()
    assert isinstance(warm.answer(request_of), Predicted)
    for folder in scratch.iterdir():
        shutil.rmtree(folder)
    assert isinstance(warm.answer(request_of), Predicted)


@posix
def test_kill_9_while_it_starts_and_while_it_waits(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    number = warm.predict(request_of)
    until(lambda: warm.pid)
    assert warm.pid is not None
    os.kill(warm.pid, 9)
    reply = warm.last()
    assert isinstance(reply, PredictionFailed)
    assert reply.number == number
    assert isinstance(warm.answer(request_of), Predicted)
    os.kill(warm.pid, 9)
    until(lambda: not warm.is_running)
    assert isinstance(warm.answer(request_of), Predicted), "nobody had asked, so nobody is told"


@posix
def test_runs_at_low_priority_in_its_own_group(make: Make, request_of: PredictRequest) -> None:
    warm = make()
    warm.predict(request_of)
    until(lambda: warm.pid)
    assert warm.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, warm.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.getpgid(warm.pid) == warm.pid
    assert isinstance(warm.last(), Predicted)


def test_an_idle_process_ends_and_the_next_request_starts_another(make: Make, request_of: PredictRequest) -> None:
    warm = make("--end-after", "0.2")
    assert isinstance(warm.answer(request_of), Predicted)
    pid = warm.pid
    until(lambda: not warm.is_running)
    assert isinstance(warm.answer(request_of), Predicted)
    time.sleep(0.2)  # about the moment in which it ends
    assert isinstance(warm.answer(request_of), Predicted)
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_a_process_that_cannot_start(make: Make, request_of: PredictRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = make("--no-such-option")
    reply = warm.answer(request_of)
    assert isinstance(reply, PredictionFailed)
    assert "ended with exit code 2" in reply.sentence
    assert "unrecognized arguments" in reply.sentence
    monkeypatch.setattr(sys, "executable", str(request_of.image))
    reply = warm.answer(request_of)
    assert isinstance(reply, PredictionFailed)
    assert "could not be started" in reply.sentence


def test_close_ends_it_in_any_state(make: Make, request_of: PredictRequest, scratch: Path) -> None:
    unused, starting, working = make(), make(), make()
    unused.close()
    starting.predict(request_of)
    working.predict(changed(request_of, image=long_stack(request_of.image.parent)))
    until(lambda: working.progress and starting.pid)
    pids = [starting.pid, working.pid]
    for one in (starting, working):
        one.close()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert not list(scratch.iterdir())
    reported = len(working.progress)
    working.predict(request_of)
    working.close()
    time.sleep(0.1)
    assert working.replies.empty()
    assert len(working.progress) == reported


def test_a_reply_that_cannot_be_handled_stops_nothing(scratch: Path, request_of: PredictRequest) -> None:
    handled = threading.Event()
    calls: list[Reply] = []

    def handle(reply: Reply) -> None:
        calls.append(reply)
        if isinstance(reply, Predicted) and len(calls) > 3:
            handled.set()
        raise RuntimeError("a mistake in the window")

    warm = WarmPredictor(handle, scratch, device="cpu")
    for _ in range(3):
        warm.predict(request_of)
    assert handled.wait(60)
    warm.close()


VIEWER = """
import sys, time
from pathlib import Path
from napari_attnseg.warm import Predicted, PredictRequest, WarmPredictor
warm = WarmPredictor(lambda reply: print(type(reply).__name__, warm.pid, flush=True), Path(sys.argv[3]), device="cpu")
warm.predict(PredictRequest(Path(sys.argv[1]), Path(sys.argv[2])))
time.sleep(600)
"""


@posix
@pytest.mark.parametrize("image", ["short", "long"])
def test_the_process_ends_with_a_viewer_that_is_killed(request_of: PredictRequest, scratch: Path, image: str) -> None:
    """At rest and in the midst of a prediction; the arrays and the log go with it."""
    path = request_of.image if image == "short" else long_stack(request_of.image.parent)
    command = [sys.executable, "-c", VIEWER, str(request_of.model), str(path), str(scratch)]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert viewer.stdout is not None
    wanted = "Predicted" if image == "short" else "Predicting"
    pid = next(int(line.split()[1]) for line in viewer.stdout if line.startswith(f"{wanted} "))
    assert psutil.pid_exists(pid)
    viewer.kill()
    viewer.communicate()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 10)
    assert not list(scratch.iterdir())


NOISY = """
import os, sys
from napari_attnseg.cli import main
from napari_attnseg.prediction import inbox

def make(*arguments, make=inbox.make):
    print("noise of Python")
    os.write(1, b"noise of a library\\n")
    return make(*arguments)

inbox.make = make
sys.exit(main(["serve", "--device", "cpu"]))
"""


def test_stdout_holds_replies_only_and_ends_with_stdin(request_of: PredictRequest, tmp_path: Path) -> None:
    asked = {"do": "predict", "number": 1, "out": str(tmp_path)}
    asked |= {"model": str(request_of.model), "image": str(request_of.image)}
    child = subprocess.Popen(
        [sys.executable, "-c", NOISY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(asked).encode() + b"\n")
    child.stdin.flush()
    kinds = []
    while "done" not in kinds:
        kinds.append(json.loads(child.stdout.readline())["kind"])
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 0
    assert b"noise of Python" in errors
    assert b"noise of a library" in errors


def test_the_client_needs_neither_torch_nor_qt() -> None:
    code = (
        "import sys, napari_attnseg.warm;"
        "sys.exit(bool({name.partition('.')[0] for name in sys.modules}"
        " & {'torch', 'kornia', 'napari', 'qtpy', 'PyQt5', 'PyQt6', 'scipy', 'matplotlib'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

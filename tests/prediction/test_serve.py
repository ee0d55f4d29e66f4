"""The prediction process from the inside: orders in, replies and arrays out; see test_warm for the real process."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.prediction import plane_input, serve
from napari_attnseg.prediction.inbox import Inbox, Replies
from napari_attnseg.prediction.room import MEMORY_VARIABLE
from napari_attnseg.prediction.serve import Server
from tests.prediction.test_predictor import GREYS, model, noise, predictor

Hook = Callable[[dict[str, Any]], None]


class Stream(io.RawIOBase):
    """Where replies go: kept, and shown to a hook as they come."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.hook: Hook = lambda reply: None

    def write(self, data: Any) -> int:
        reply = json.loads(bytes(data))
        self.replies.append(reply)
        self.hook(reply)
        return len(data)


class Talk:
    """A server in this process, and the pipe on which it is asked."""

    def __init__(self, folder: Path) -> None:
        reading, writing = os.pipe()
        self.folder = folder
        self.asked = os.fdopen(writing, "wb", buffering=0)
        self.requests = os.fdopen(reading, "rb")
        self.stream = Stream()
        self.ended = threading.Event()
        self.replies = Replies(self.stream, self.ended.set)  # type: ignore[arg-type]
        self.inbox = Inbox(self.requests, self.replies, self.ended.set)
        self.server = Server(self.inbox, self.replies, "cpu", release_after=60, end_after=60)

    def ask(self, **values: Any) -> None:
        """Write a request, and wait until it has been read."""
        waiting = len(self.inbox) + (values.get("do") in ("predict", "describe"))
        self.asked.write(json.dumps(values).encode() + b"\n")
        until(lambda: len(self.inbox) == waiting or values.get("do") == "cancel")

    def order(self, number: int, image: str = "a.tif", **values: Any) -> None:
        usual = {"model": self.folder / "m.safetensors", "image": self.folder / image, "out": self.folder}
        paths = {name: str(path) for name, path in usual.items()}
        self.ask(do="predict", number=number, **(paths | values))

    def do(self, count: int = 1) -> dict[str, Any]:
        """Do waiting orders and return the last reply."""
        for _ in range(count):
            order = self.inbox.take(5)
            assert order is not None
            self.server.do(order)
        return self.stream.replies[-1]

    def kinds(self) -> list[tuple[str, int]]:
        """Return the replies without progress."""
        return [(reply["kind"], reply["number"]) for reply in self.stream.replies if reply["kind"] != "progress"]


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    model(tmp_path / "m.safetensors")
    tifffile.imwrite(tmp_path / "a.tif", noise(45, 61))
    one = Talk(tmp_path)
    yield one
    one.asked.close()
    assert one.ended.wait(10)
    one.requests.close()
    one.stream.close()


def test_arrays_are_what_the_predictor_gives(talk: Talk) -> None:
    talk.order(1, attention=True, uncertainty=True)
    reply = talk.do()
    assert reply["kind"] == "done"
    expected = predictor(talk.folder / "m.safetensors", probability=True, attention=True).predict_file(
        talk.folder / "a.tif"
    )
    assert expected.probability is not None
    assert expected.attention is not None
    probability = np.load(reply["probability"])
    assert probability.dtype == np.float32
    assert np.array_equal(probability, expected.probability)
    attention = np.load(reply["attention"])
    assert attention.dtype == np.float16
    assert np.abs(attention - expected.attention).max() < 1e-3
    assert np.load(reply["uncertainty_map"]).shape == (1, 45, 61)
    assert 0 < reply["uncertainty"] < 1
    assert reply["plane"] is None


def test_nothing_that_was_not_asked_for(talk: Talk) -> None:
    talk.order(1)
    reply = talk.do()
    assert (reply["attention"], reply["uncertainty_map"]) == (None, None)
    assert [path.name for path in talk.folder.glob("*.npy")] == ["1-probability.npy"]


def test_a_model_without_gates_gives_no_attention(talk: Talk) -> None:
    model(talk.folder / "plain.safetensors", GREYS, name="unet")
    talk.order(1, model=str(talk.folder / "plain.safetensors"), attention=True)
    reply = talk.do()
    assert reply["attention"] is None
    assert np.load(reply["probability"]).shape == (1, 4, 45, 61)


@pytest.mark.parametrize("megabytes", [256, 0])
def test_a_plane_of_a_stack_is_the_one_of_the_whole(
    talk: Talk, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = noise(2, 3, 40, 36)
    stack[1] //= 3  # so that a plane that were scaled by itself would look different
    tifffile.imwrite(talk.folder / "s.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    if megabytes == 0:  # as if the stack were large: scaled by a sample, here of all planes, and read one by one
        monkeypatch.setattr(plane_input, "is_large", lambda info: True)
        monkeypatch.setattr(plane_input, "MOST_BYTES_AT_ONCE", 100 * 36 * 40 * 2)
    talk.order(1, "s.tif")
    talk.order(2, "s.tif", plane=[1, 2], attention=True)
    whole, one = np.load(talk.do()["probability"]), talk.do()
    assert whole.shape == (6, 1, 40, 36)
    assert one["plane"] == [1, 2]
    assert np.array_equal(np.load(one["probability"]), whole[5:])
    assert np.load(one["attention"]).shape == (1, 2, 40, 36)
    direct = predictor(talk.folder / "m.safetensors", probability=True).predict_file(talk.folder / "s.tif")
    assert np.array_equal(direct.probability, whole)


def test_the_scale_of_a_changed_image_is_taken_anew(talk: Talk) -> None:
    talk.order(1)
    before = np.load(talk.do()["probability"])
    tifffile.imwrite(talk.folder / "a.tif", (noise(45, 61) // 2 + 9000).astype(np.uint16), metadata={"changed": True})
    talk.order(2)
    after = np.load(talk.do()["probability"])
    direct = predictor(talk.folder / "m.safetensors", probability=True).predict_file(talk.folder / "a.tif")
    assert np.array_equal(after, direct.probability)
    assert np.allclose(after, before, atol=0.05), "another offset, the same picture"


@pytest.mark.parametrize("plane", [[2], [0, 0], [-1]])
def test_a_plane_that_is_not_there(talk: Talk, plane: list[int]) -> None:
    tifffile.imwrite(talk.folder / "s.tif", noise(2, 40, 36), imagej=True, metadata={"axes": "ZYX"})
    talk.order(1, "s.tif", plane=plane)
    reply = talk.do()
    assert reply["kind"] == "failed"
    assert "s.tif has 2 planes; there is no plane" in reply["sentence"]


def test_a_region_is_what_the_whole_says_away_from_its_border(talk: Talk) -> None:
    tifffile.imwrite(talk.folder / "l.tif", noise(400, 300))
    model(talk.folder / "u.safetensors", name="unet")  # squeeze and excitation sees the whole tile
    for number, region in ((1, None), (2, (128, 96, 200, 160)), (3, (380, -5, 999, 10))):
        talk.order(number, "l.tif", region=region, model=str(talk.folder / "u.safetensors"), uncertainty=True)
    whole = np.load(talk.do()["probability"])
    part, corner = talk.do(), np.load(talk.do()["probability"])
    assert np.load(part["uncertainty_map"]).shape == (1, 72, 64)
    assert np.abs(np.load(part["probability"]) - whole[:, :, 128:200, 96:160]).max() < 1e-4
    assert corner.shape == (1, 1, 20, 10)
    assert np.abs(corner - whole[:, :, 380:, :10]).max() < 0.05


def test_too_large_an_image_is_refused_and_a_region_of_it_is_not(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_input, "MOST_PIXELS", 170 * 170)
    tifffile.imwrite(talk.folder / "l.tif", noise(200, 200))
    with monkeypatch.context() as reading:
        reading.delattr(plane_input, "read_image")  # refused before any pixel is read
        talk.order(1, "l.tif")
        reply = talk.do()
    assert reply["kind"] == "failed"
    assert "l.tif has 0 megapixels in a plane" in reply["sentence"]
    assert "'Predict all'" in reply["sentence"]
    talk.order(2, "l.tif", region=(0, 0, 100, 100))
    assert talk.do()["kind"] == "done"


def test_too_little_memory_is_said_before_it_runs_out(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.000001")
    talk.order(1)
    assert "a.tif needs about 0.0 GB of memory" in talk.do()["sentence"]


def test_cancel_in_the_midst_leaves_no_file(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PROGRESS_EVERY", 0)
    tifffile.imwrite(talk.folder / "s.tif", noise(9, 40, 36), imagej=True, metadata={"axes": "ZYX"})

    def cancel(reply: dict[str, Any]) -> None:
        if reply["kind"] == "progress" and reply["done"] > 0.3:
            talk.ask(do="cancel", number=1)
            until(lambda: talk.inbox.is_cancelled(1))

    talk.stream.hook = cancel
    talk.order(1, "s.tif")
    assert talk.do() == {"kind": "cancelled", "number": 1}
    shares = [reply["done"] for reply in talk.stream.replies if reply["kind"] == "progress"]
    assert 0.3 < max(shares) < 0.5
    assert not list(talk.folder.glob("*.npy"))
    assert not talk.inbox.is_cancelled(1), "the number is forgotten"


def test_cancel_of_what_waits_or_is_unknown(talk: Talk) -> None:
    talk.order(1)
    talk.order(2)
    talk.ask(do="cancel", number=2)
    talk.ask(do="cancel", number=77)
    until(lambda: talk.kinds() == [("cancelled", 2)])
    talk.do()
    assert talk.kinds() == [("cancelled", 2), ("done", 1)]
    assert len(talk.inbox) == 0


def test_urgent_before_those_that_wait(talk: Talk) -> None:
    for number, urgent in ((1, False), (2, False), (3, True), (4, True)):
        talk.order(number, urgent=urgent)
    talk.do(4)
    assert talk.kinds() == [("done", 3), ("done", 4), ("done", 1), ("done", 2)]


def test_urgent_in_the_midst_of_what_is_not(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PROGRESS_EVERY", 0)
    tifffile.imwrite(talk.folder / "s.tif", noise(5, 40, 36), imagej=True, metadata={"axes": "ZYX"})

    def ask(reply: dict[str, Any]) -> None:
        if reply["number"] == 1 and reply.get("done", 0) > 0.3:
            talk.stream.hook = lambda reply: None
            talk.order(2, urgent=True)
            talk.order(3)

    talk.stream.hook = ask
    talk.order(1, "s.tif")
    talk.do()
    assert talk.kinds() == [("done", 2), ("done", 1)]
    direct = predictor(talk.folder / "m.safetensors", probability=True).predict_file(talk.folder / "s.tif")
    assert np.array_equal(np.load(talk.stream.replies[-1]["probability"]), direct.probability)
    assert talk.do()["number"] == 3


def test_two_models_stay_loaded(talk: Talk) -> None:
    paths = [model(talk.folder / f"{name}.safetensors") for name in "abc"]
    models = talk.server.models
    first = [models.get(path) for path in paths[:2]]
    assert models.get(paths[0]) is first[0]
    models.get(paths[2])
    assert models.get(paths[0]) is first[0]
    assert models.get(paths[1]) is not first[1]


def test_a_replaced_model_is_loaded_anew_and_a_deleted_one_is_said(talk: Talk) -> None:
    talk.order(1)
    assert np.load(talk.do()["probability"]).shape[1] == 1
    time.sleep(0.01)  # file systems count time in steps
    model(talk.folder / "m.safetensors", GREYS)
    talk.order(2)
    assert np.load(talk.do()["probability"]).shape[1] == 4
    (talk.folder / "m.safetensors").unlink()
    talk.order(3)
    reply = talk.do()
    assert reply["kind"] == "failed"
    assert "There is no model file" in reply["sentence"]


def test_axes_and_channels_of_a_request(talk: Talk) -> None:
    tifffile.imwrite(talk.folder / "c.tif", noise(40, 36, 3).astype(np.uint8), photometric="rgb")
    tifffile.imwrite(talk.folder / "t.tif", noise(5, 40, 36), metadata={"axes": "ZYX"})
    talk.order(1, "c.tif")
    assert "c.tif has 3 channels, but the model was trained on 1" in talk.do()["sentence"]
    talk.order(2, "c.tif", channels="grey")
    assert np.load(talk.do()["probability"]).shape == (1, 1, 40, 36)
    talk.order(3, "t.tif", axes="TYX")
    assert np.load(talk.do()["probability"]).shape == (5, 1, 40, 36)
    talk.order(4)
    assert talk.do()["kind"] == "done", "the next request is read by its own axes"


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "not a readable model file"), (b"x" * 500, "not a readable model file")]
)
def test_a_broken_model(talk: Talk, content: bytes, says: str) -> None:
    (talk.folder / "m.safetensors").write_bytes(content)
    talk.order(1)
    reply = talk.do()
    assert reply["kind"] == "failed"
    assert says in reply["sentence"]


def test_a_missing_or_broken_image_and_a_missing_folder(talk: Talk) -> None:
    talk.order(1, "no.tif")
    assert "no.tif" in talk.do()["sentence"]
    (talk.folder / "b.tif").write_bytes(b"II*\0")
    talk.order(2, "b.tif")
    assert "b.tif" in talk.do()["sentence"]
    talk.order(3, out=str(talk.folder / "gone"))
    assert "cannot be kept in" in talk.do()["sentence"]
    assert [kind for kind, _ in talk.kinds()] == ["failed"] * 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk(talk: Talk) -> None:
    (talk.folder / "1-probability.npy").symlink_to("/dev/full")
    talk.order(1)
    reply = talk.do()
    assert reply["kind"] == "failed"
    assert "cannot be kept in" in reply["sentence"]
    assert not (talk.folder / "1-probability.npy").is_symlink()


def test_requests_that_make_no_sense(talk: Talk) -> None:
    for line in ("nonsense", "[1]", '{"do": "dance", "number": 4}', '{"do": "predict", "number": 5}', "{}", '"x"'):
        talk.asked.write(line.encode() + b"\n")
    until(lambda: len(talk.stream.replies) == 6)
    assert talk.kinds() == [("failed", None), ("failed", None), ("failed", 4), ("failed", 5), *[("failed", None)] * 2]
    talk.asked.write(b'{"do": "predict", "number": 6, "axes": "QQ"}\n')
    until(lambda: len(talk.stream.replies) == 7)
    assert "Setting 'axes'" in talk.stream.replies[-1]["sentence"]


def test_the_device_is_described(talk: Talk) -> None:
    talk.ask(do="describe", number=3)
    reply = talk.do()
    assert (reply["kind"], reply["number"], reply["is_gpu"]) == ("described", 3, False)
    assert re.fullmatch(r"CPU, (1 thread|\d+ threads), as asked for", reply["device"])
    assert reply["details"]["memory"] > 2**28
    assert reply["details"]["patches_per_second"] > 0


def test_idle_gives_models_back_then_ends(talk: Talk) -> None:
    talk.server.release_after, talk.server.end_after = 0.05, 0.3
    talk.order(1)
    loaded = talk.server.models.get(talk.folder / "m.safetensors")
    talk.server.run()
    assert [reply["kind"] for reply in talk.stream.replies if reply["kind"] != "progress"] == ["done", "idle"]
    assert talk.server.models.get(talk.folder / "m.safetensors") is not loaded

"""Work in the background: its results come back from the event loop, in order, and never once the window is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from napari_attnseg.errors import DataError
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.failures import failure_text
from tests.viewer.canvas import until


@pytest.fixture
def background(qapp: Any) -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


def fail(error: Exception) -> None:
    raise AssertionError(error)


def test_what_is_done_at_once_is_handed_over_later_all_the_same(background: Background, qtbot: Any) -> None:
    found: list[int] = []
    for number in range(50):  # some are done before they could be waited for
        background.run(lambda number=number: number, found.append, fail)  # type: ignore[misc]
        time.sleep(0.002)
        assert found == [], "inside run() nobody expects an answer"
    until(qtbot, lambda: len(found) == 50)
    assert sorted(found) == list(range(50))


def test_what_takes_long_holds_up_nothing_else(background: Background, qtbot: Any) -> None:
    found: list[str] = []
    for _ in range(10):

        def read_for_minutes() -> str:
            while not (found or background.is_closed):
                time.sleep(0.01)
            return "long"

        background.run(read_for_minutes, found.append, fail, is_long=True)
    background.run(lambda: "saved", found.append, fail)
    until(qtbot, lambda: len(found) == 11)
    assert found[0] == "saved"


def test_an_error_is_handed_over_too(background: Background, qtbot: Any) -> None:
    errors: list[Exception] = []
    background.run(lambda: 1 // 0, fail, errors.append)  # type: ignore[arg-type]
    until(qtbot, lambda: errors)
    assert isinstance(errors[0], ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError("a.tif is damaged."), "a.tif is damaged."),
        (KeyError("a"), "a.tif cannot be opened, because of an error in the program (KeyError: 'a')."),
        (ValueError(), "a.tif cannot be opened, because of an error in the program (ValueError)."),
        (PermissionError(13, "Permission denied"), "a.tif cannot be opened: Permission denied."),
        (MemoryError(), "a.tif cannot be opened: there is not enough memory."),
    ],
)
def test_any_failure_is_told_in_a_sentence(error: Exception, text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert failure_text(error, "a.tif cannot be opened") == text
    assert bool(caplog.records) != isinstance(error, DataError), "what was not foreseen is logged"


def test_nothing_is_handed_over_after_it_is_closed(background: Background, qtbot: Any) -> None:
    found: list[int] = []
    background.run(lambda: 1, found.append, fail)
    assert background.wait(5)
    background.close()
    assert background.run(lambda: 2, found.append, fail).cancelled()
    qtbot.wait(50)
    assert found == []

"""Pace, on a clock that the tests turn by hand."""

from __future__ import annotations

import pytest

from napari_attnseg.settings import TrainingSettings
from napari_attnseg.training.pace import Pace


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def pace_of(clock: Clock, **values: float | int) -> Pace:
    pace = Pace(TrainingSettings.model_validate({"batch_size": 10, "patch_size": 100, **values}), clock)
    pace.steps_per_epoch = 20
    return pace


def learn(pace: Pace, clock: Clock, seconds: list[float]) -> None:
    pace.begin_steps()
    for one in seconds:
        clock.seconds += one
        pace.step_done()


def test_nothing_is_known_before_the_first_step() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=5)
    clock.seconds += 7
    assert (pace.seconds, pace.share_done(0), pace.seconds_left(0)) == (7.0, 0.0, None)
    assert pace.images_per_second is None
    assert not pace.is_time_up()


def test_time_left_by_epochs_counts_scoring() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=5)
    learn(pace, clock, [8.0, 0.5, 0.5])  # the first warms up and is forgotten
    assert pace.step_seconds == pytest.approx(0.5)
    assert pace.images_per_second == pytest.approx(20)
    assert pace.seconds_left(3) == pytest.approx(97 * 0.5)
    with pace.scoring():
        clock.seconds += 4
    assert pace.seconds_left(20) == pytest.approx(80 * 0.5 + 4 * 4)
    assert pace.share_done(20) == pytest.approx(0.2)


def test_the_first_scoring_is_estimated_from_the_steps() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=1)
    pace.scored_pixels = 600_000  # six times the 100 000 pixels of a batch, and only forward
    learn(pace, clock, [0.5, 0.5])
    assert pace.scoring_seconds == pytest.approx(0.5 * 6 / 3)
    assert pace.seconds_left(2) == pytest.approx(18 * 0.5 + 1.0)


def test_the_nearer_of_two_ends_counts() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=5, max_minutes=1)
    assert pace.seconds_left(0) == 60
    learn(pace, clock, [1.0, 1.0])
    assert pace.seconds_left(2) == pytest.approx(58)  # 98 steps would take longer
    assert pace.share_done(2) == pytest.approx(2 / 60)
    assert pace_of(clock, epochs=1, max_minutes=1).share_done(15) == pytest.approx(15 / 20)


def test_time_is_up_while_scoring_and_saving_still_fit() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=500, max_minutes=1)
    with pace.scoring():
        clock.seconds += 10
    clock.seconds += 36.9
    assert not pace.is_time_up()
    clock.seconds += 0.2  # 47 of 60 seconds: 1.2 x 10 for scoring and 1 for saving are left
    assert pace.is_time_up()


def test_a_long_scoring_leaves_half_of_the_time_for_learning() -> None:
    clock = Clock()
    pace = pace_of(clock, max_minutes=1)
    pace.scored_pixels = 10**9
    learn(pace, clock, [1.0, 1.0])
    assert pace.scoring_seconds > 60
    assert not pace.is_time_up()
    clock.seconds += 28.1
    assert pace.is_time_up()


def test_a_pause_counts_nowhere() -> None:
    clock = Clock()
    pace = pace_of(clock, epochs=5, max_minutes=10)
    learn(pace, clock, [1.0, 1.0])
    before = (pace.seconds, pace.share_done(2), pace.seconds_left(2), pace.images_per_second)
    with pace.paused():
        clock.seconds += 5000
        assert pace.seconds == before[0]
    assert (pace.seconds, pace.share_done(2), pace.seconds_left(2), pace.images_per_second) == before
    clock.seconds += 1
    pace.step_done()
    assert pace.step_seconds == pytest.approx(1.0)


def test_earlier_sessions_count() -> None:
    clock = Clock()
    pace = pace_of(clock, max_minutes=1)
    pace.add_earlier(45)
    assert pace.seconds == 45
    assert pace.seconds_left(0) == 15


def test_a_machine_that_gets_slower_is_noticed() -> None:
    clock = Clock()
    pace = pace_of(clock)
    learn(pace, clock, [0.1] * 300)
    learn(pace, clock, [1.0] * 100)
    assert pace.step_seconds == pytest.approx(1.0, rel=0.05)

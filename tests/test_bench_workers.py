"""The benchmark's workers: orders and answers, what is missing or dies, and rest while they are not asked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from benchmarks.peers.client import PeerFailed, Worker, prepared
from benchmarks.peers.known import Kind


def kind(name: str, **fixed: object) -> Kind:
    return Kind(name, f"the peer {name}", f"tests.bench_peer:{name}", fixed)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(kind("Counting")) as worker:
        yield worker


def test_orders_are_answered_whatever_libraries_print(worker: Worker) -> None:
    assert worker.ask("prepare", widths=[8, 16], threads=2) == {"widths": [8, 16], "threads": 2}
    assert [worker.ask("train", steps=steps) for steps in (1, 3)] == [1, 4]
    assert worker.ask("peak") > 0.001


def test_a_failure_is_told_and_the_worker_stays(worker: Worker) -> None:
    with pytest.raises(PeerFailed, match="cannot fail: ValueError: of no use"):
        worker.ask("fail")
    with pytest.raises(PeerFailed, match="knows no 'fly'"):
        worker.ask("fly")
    with pytest.raises(PeerFailed, match="cannot train: TypeError"):
        worker.ask("train", slowly=True)
    assert worker.ask("train", steps=2) == 2


def test_a_worker_that_dies(worker: Worker) -> None:
    with pytest.raises(PeerFailed, match=r"ended with code 3: .*the last word"):
        worker.ask("die")
    with pytest.raises(PeerFailed, match="ended with code 3"):
        worker.ask("train", steps=1)


def test_a_worker_that_is_killed_for_its_memory(worker: Worker) -> None:
    worker.ask("train", steps=1)
    psutil.Process(worker.pid).kill()
    with pytest.raises(PeerFailed, match="killed, most likely because the memory"):
        worker.ask("train", steps=1)


def test_it_takes_no_processor_time_while_it_is_not_asked() -> None:
    with Worker(kind("Spinning")) as worker:
        worker.ask("train", steps=1)
        process = psutil.Process(worker.pid)
        while process.status() != psutil.STATUS_STOPPED:  # a signal takes a moment
            time.sleep(0.01)
        before = process.cpu_times().user
        time.sleep(0.3)
        assert process.cpu_times().user == before
        assert worker.ask("work") >= before
    assert not process.is_running()


def test_a_peer_without_its_package_is_left_out_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [kind("Counting"), kind("missing"), kind("Spinning", widths=[4])]
    with prepared(kinds, widths=[8], threads=1) as ready:
        assert {name: about["widths"] for name, (_, about) in ready.items()} == {"Counting": [8], "Spinning": [4]}
        processes = [psutil.Process(worker.pid) for worker, _ in ready.values()]
    assert "the peer missing is left out: the package a_package_that_nobody_has is not installed." in (
        capsys.readouterr().out
    )
    assert not any(process.is_running() for process in processes)

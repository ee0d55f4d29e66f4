"""What memory may be taken: in a job, a container or a shell with limits it is less than the computer has free."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_attnseg.data import memory
from napari_attnseg.data.image_cache import memory_limit
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.memory import MEMORY_VARIABLE, free_memory, granted
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, SettingsError
from napari_attnseg.objects.room import require_memory
from napari_attnseg.prediction.room import has_room
from napari_attnseg.settings import DataSettings

GB = 10**9
UNLIMITED_V1 = 2**63 - 4096
Tree = Callable[..., None]


@pytest.fixture(autouse=True)
def computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer with 256 GB free, and neither groups nor limits."""
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=256 * GB))
    monkeypatch.setattr(memory, "_left_to_process", lambda: [])
    monkeypatch.setattr(memory, "_OWN_GROUPS", Path("/nowhere/cgroup"))
    monkeypatch.setattr(memory, "_ALL_GROUPS", Path("/nowhere"))
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Return a function that makes up the files of the system: what the process belongs to, and texts by path."""
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_ALL_GROUPS", tmp_path / "groups")

    def make(own: str, files: dict[str, object]) -> None:
        (tmp_path / "own").write_text(own)
        for path, text in files.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return make


def test_without_limits_it_is_what_the_computer_has(tree: Tree) -> None:
    assert free_memory() == 256 * GB
    tree("0::/user.slice\n", {"user.slice/memory.max": "max", "user.slice/memory.current": 200 * GB})
    assert free_memory() == 256 * GB
    tree("7:memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED_V1, "memory/memory.usage_in_bytes": 200 * GB})
    assert free_memory() == 256 * GB


def test_a_job_has_what_is_left_of_its_group(tree: Tree) -> None:
    job = "system.slice/slurmstepd.scope/job_7"
    tree(
        f"0::/{job}/step_0/user/task_0\n",
        {
            f"{job}/memory.max": 16 * GB,
            f"{job}/memory.current": 10 * GB,
            f"{job}/memory.stat": f"anon {3 * GB}\nfile {7 * GB}\ninactive_file {4 * GB}\nactive_file {1 * GB}",
            f"{job}/step_0/memory.max": "max",
            f"{job}/step_0/memory.current": 10 * GB,
            f"{job}/step_0/user/task_0/memory.max": 40 * GB,
            f"{job}/step_0/user/task_0/memory.current": 10 * GB,
        },
    )
    assert free_memory() == 11 * GB, "what is kept of files that were read is not given back"


def test_a_task_may_have_less_than_its_job(tree: Tree) -> None:
    tree(
        "0::/job/task\n",
        {
            "job/memory.max": 16 * GB,
            "job/memory.current": 4 * GB,
            "job/task/memory.max": 16 * GB,
            "job/task/memory.high": 6 * GB,
            "job/task/memory.current": 4 * GB,
        },
    )
    assert free_memory() == 2 * GB


def test_a_container_sees_its_own_group_at_the_top(tree: Tree) -> None:
    """With the path of the outside (version 1, or the host's name space) and without."""
    for own in ("0::/system.slice/docker-4a1f.scope\n", "0::/\n", "0::/../outside\n"):
        tree(own, {"memory.max": 8 * GB, "memory.current": 3 * GB})
        assert free_memory() == 5 * GB


def test_version_1_counts_the_groups_below(tree: Tree) -> None:
    tree(
        "12:cpu,cpuacct:/slurm/job_7\n4:memory:/slurm/job_7/step_0\n1:name=systemd:/a:b\n0::/\n",
        {
            "memory/slurm/memory.limit_in_bytes": UNLIMITED_V1,
            "memory/slurm/memory.usage_in_bytes": 100 * GB,
            "memory/slurm/job_7/memory.limit_in_bytes": 16 * GB,
            "memory/slurm/job_7/memory.usage_in_bytes": 15 * GB,
            "memory/slurm/job_7/memory.stat": f"inactive_file 0\nactive_file 0\ntotal_inactive_file {9 * GB}",
            "memory/slurm/job_7/step_0/memory.limit_in_bytes": 16 * GB,
            "memory/slurm/job_7/step_0/memory.usage_in_bytes": 5 * GB,
            "memory/slurm/job_7/step_0/memory.stat": f"inactive_file {2 * GB}",
            "slurm/job_7/memory.max": 1,
            "slurm/job_7/memory.current": 0,
        },
    )
    assert free_memory() == 10 * GB


def test_what_cannot_be_read_is_no_limit(tree: Tree) -> None:
    for own in ("", "nonsense\n", "0:\n", "::\n"):
        tree(own, {})
        assert free_memory() == 256 * GB
    tree("0::/a\n", {"a/memory.max": "what", "a/memory.current": 5, "memory.max": 5 * GB, "memory.stat": "file x y\nz"})
    assert free_memory() == 256 * GB
    tree("0::/a\n", {"memory.current": 2 * GB})
    assert free_memory() == 3 * GB


def test_a_group_that_is_full_has_nothing_left(tree: Tree) -> None:
    tree("0::/a\n", {"a/memory.max": GB, "a/memory.current": 2 * GB})
    assert free_memory() == 0


def test_the_variable_counts_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.5")
    assert free_memory() == GB // 2
    assert memory_limit(None, 2) == GB // 8
    with pytest.raises(DataError, match=r"takes about 0\.6 GB of memory and 0\.5 GB are free"):
        require_memory(0.6 * GB, "Finding the objects of a.tif")
    monkeypatch.setenv(MEMORY_VARIABLE, "1e-6")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.float32), compression="zlib", predictor=True, tile=(64, 64))
    assert not has_room(read_info(path), DataSettings(), 1, 0)
    monkeypatch.setattr("napari_attnseg.data.lazy.MOST_BYTES_AT_ONCE", 1000)  # as of a strip of gigabytes
    with pytest.raises(DataError, match="can only be read as a whole"), opened_pixels(path):
        pass
    for wrong in ("much", "inf", "nan", "-3"):
        monkeypatch.setenv(MEMORY_VARIABLE, wrong)
        with pytest.raises(SettingsError, match=f"is '{wrong}'; expected gigabytes"):
            free_memory()


def test_what_is_granted_is_the_most_within_its_block() -> None:
    with granted(lambda: 3 * GB):
        assert free_memory() == 3 * GB
        with granted(lambda: 5 * GB):
            assert free_memory() == 3 * GB
        with granted(lambda: -1):
            assert free_memory() == 0
    assert free_memory() == 256 * GB


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to these limits")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_the_limits_of_a_shell_are_seen(limit: str) -> None:
    """In a process of its own: such a limit cannot be raised again."""
    script = (
        "import resource, psutil; from napari_attnseg.data.memory import free_memory\n"
        "before = free_memory(); used = psutil.Process().memory_info()\n"
        f"used = used.vms if '{limit}' == 'RLIMIT_AS' else used.data\n"
        f"resource.setrlimit(resource.{limit}, (used + 3 * 10**8, used + 3 * 10**8))\n"
        "free = free_memory(); print(before > 4 * 10**8, 2 * 10**8 < free <= 3 * 10**8)\n"
        "taken = bytearray(free - 10**7); print(len(taken) > 0)\n"
        "try: bytearray(10**8)\nexcept MemoryError: print('full')\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.split() == ["True", "True", "True", "full"]

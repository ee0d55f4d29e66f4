"""Two windows on one folder know of each other, and the dead keep nobody out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from napari_attnseg.annotation.folder.lock import SILENT_SECONDS, FolderLock
from napari_attnseg.annotation.places import PRIVATE, README, private_folder
from napari_attnseg.annotation.processes import this_process
from napari_attnseg.job_process import find_process

HOLD = """
import sys
from pathlib import Path
from napari_attnseg.annotation.folder.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
owner = lock.acquire()
print("held" if lock.held else owner.text, flush=True)
sys.stdin.readline()
if "release" in sys.argv:
    lock.release()
"""


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def rewrite(folder: Path, **changes: object) -> Path:
    path = private_folder(folder) / "open.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_one_of_two_windows_of_a_process_has_the_folder(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    assert first.acquire() is None
    assert first.held
    assert first.acquire() is None
    owner = second.acquire()
    assert owner is not None
    assert (owner.pid, owner.created) == this_process()
    assert not second.held
    assert "in another window of this program since" in owner.text
    second.release()
    assert second.acquire() is not None
    first.release()
    assert second.acquire() is None
    assert second.held
    assert (tmp_path / PRIVATE / README).read_text(encoding="utf-8").count("\n") == 2


def test_another_process_is_told_and_its_death_frees_the_folder(tmp_path):
    child = start(tmp_path)
    assert first_line(child) == "held"
    lock = FolderLock(tmp_path)
    owner = lock.acquire()
    assert owner is not None
    assert owner.pid == child.pid
    assert f"in another napari on this computer (process {child.pid}) since" in owner.text
    child.kill()
    child.communicate()
    assert lock.acquire() is None
    assert lock.held
    other = start(tmp_path)
    assert "another napari on this computer" in first_line(other)
    other.communicate("\n")
    lock.release()
    assert not lock.held


def test_a_released_folder_is_free(tmp_path):
    child = start(tmp_path, "release")
    assert first_line(child) == "held"
    child.communicate("\n")
    assert not (private_folder(tmp_path) / "open.json").exists()


@pytest.mark.parametrize("left", ["nothing", "dead", "garbage"])
def test_only_one_of_many_at_once_gets_it(tmp_path, left):
    if left != "nothing":
        dead = start(tmp_path)
        first_line(dead)
        dead.kill()
        dead.communicate()
    if left == "garbage":
        (private_folder(tmp_path) / "open.json").write_bytes(b"{")
    locks = [FolderLock(tmp_path) for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        owners = list(pool.map(FolderLock.acquire, locks))
    assert sum(lock.held for lock in locks) == 1
    assert [owner is None for owner in owners] == [lock.held for lock in locks]


def test_only_one_of_many_processes_gets_it_from_the_dead(tmp_path):
    dead = start(tmp_path)
    first_line(dead)
    dead.kill()
    dead.communicate()
    children = [start(tmp_path) for _ in range(4)]
    lines = [first_line(child) for child in children]
    for child in children:
        child.communicate("\n")
    assert lines.count("held") == 1


def test_a_recycled_process_number_is_another_process(tmp_path):
    assert FolderLock(tmp_path).acquire() is None
    rewrite(tmp_path, created=psutil.Process().create_time() - 3600)
    lock = FolderLock(tmp_path)
    assert lock.acquire() is None
    assert lock.held
    assert find_process(2**22 + 1, 0.0) is None
    assert find_process(-1, 0.0) is None


def test_another_computer_holds_it_while_it_gives_signs_of_life(tmp_path):
    lock = FolderLock(tmp_path)
    assert FolderLock(tmp_path).acquire() is None
    path = rewrite(tmp_path, host="another-computer", user="somebody", pid=1)
    owner = lock.acquire()
    assert owner is not None
    assert "by somebody on the computer another-computer since" in owner.text
    now = path.stat().st_mtime
    os.utime(path, (now - SILENT_SECONDS - 5,) * 2)
    assert lock.acquire() is None
    assert lock.held
    os.utime(path, (now - 1000,) * 2)
    assert lock.heartbeat() is None
    assert path.stat().st_mtime > now - 100
    assert [file.name for file in sorted(private_folder(tmp_path).iterdir())] == [
        "README.txt",
        "open.guard",
        "open.json",
    ]


def test_whose_lock_was_taken_is_told_and_leaves_it_alone(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    rewrite(tmp_path, created=0.0)  # it seems gone, as a computer that sleeps
    assert second.acquire() is None
    owner = first.heartbeat()
    assert owner is not None
    assert not first.held
    assert first.heartbeat() is None
    first.release()
    assert second.heartbeat() is None
    assert second.held
    assert FolderLock(tmp_path).acquire() is not None


def test_a_lock_that_somebody_deleted_is_made_again(tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    for file in private_folder(tmp_path).iterdir():
        file.unlink()
    private_folder(tmp_path).rmdir()
    assert lock.heartbeat() is None
    assert lock.held
    assert (private_folder(tmp_path) / "open.json").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"pid": "x"}', b"\xff\xfe", b'{"since": NaN}', b"[" * 100_000])
def test_a_lock_that_makes_no_sense_keeps_nobody_out(tmp_path, content):
    private_folder(tmp_path).mkdir()
    (private_folder(tmp_path) / "open.json").write_bytes(content)
    lock = FolderLock(tmp_path)
    assert lock.acquire() is None
    assert lock.held


def test_a_folder_that_cannot_be_written_to_has_no_lock(tmp_path):
    (tmp_path / PRIVATE).write_text("a file is in the way, for root too")
    lock = FolderLock(tmp_path)
    assert lock.acquire() is None
    assert not lock.held
    assert lock.heartbeat() is None
    lock.release()
    missing = FolderLock(tmp_path / "missing")
    assert missing.acquire() is None
    assert not missing.held
    missing.release()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for root")
def test_who_may_only_read_is_told_who_has_it(tmp_path):
    first = FolderLock(tmp_path)
    first.acquire()
    place = private_folder(tmp_path)
    for path in (*place.iterdir(), place):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        second = FolderLock(tmp_path)
        assert second.acquire() is not None
        assert not second.held
    finally:
        place.chmod(0o755)

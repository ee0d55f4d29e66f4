"""What is painted is on the disk at once, survives kill -9 and full disks, and is read back as far as possible."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.annotation.masks import journal_store
from napari_attnseg.annotation.masks.abandoned import Abandoned, discard, find_abandoned, new_journal_path
from napari_attnseg.annotation.masks.document import Fingerprint
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.journal_file import append, apply, create, encode_tile, read
from napari_attnseg.annotation.masks.journal_header import Header, new_header
from napari_attnseg.errors import DataError, SaveError

SHAPE = (3, 300, 520)
BINARY = {"kind": "binary", "values": {"0": 0, "255": 1}, "class_names": ["background", "Zellkern ä"], "notices": []}


@pytest.fixture
def header(tmp_path: Path) -> Header:
    image = tmp_path / "data" / "cell ä 1.tif"
    mask = image.with_name("cell ä 1_MASK.tif")
    return new_header(
        image, mask, name="cell ä 1.tif", fingerprint=None, shape=SHAPE, dtype=np.dtype("u1"), convention=BINARY
    )


@pytest.fixture
def start(tmp_path: Path, header: Header) -> Iterator[Callable[..., Journal]]:
    """Return a function that begins a journal; all are closed in the end."""
    journals: list[Journal] = []

    def begin(path: Path | None = None, **options: object) -> Journal:
        journals.append(Journal(path or tmp_path / "journals" / "cell.journal", header, **options))
        return journals[-1]

    yield begin
    for journal in journals:
        journal.close()
    assert not any(thread.name == "attnseg-journal" for thread in threading.enumerate())


def tile(value: int, shape: tuple[int, ...] = (1, 256, 256), dtype: str = "u1") -> np.ndarray:
    return np.full(shape, value, dtype)


def values(path: Path) -> dict[tuple[int, ...], int]:
    """Return the value of each tile in a journal, by its start; the tiles are of one value each."""
    content = read(path)
    assert not content.damaged
    return {item.start: int(np.unique(item.pixels).item()) for item in content.tiles}


def dead(header: Header) -> Header:
    return replace(header, created=header.created - 3600)


# The file


def test_what_is_written_is_read_back(tmp_path, header):
    rng = np.random.default_rng(0)
    path = tmp_path / "new" / "a.journal"
    header = replace(header, fingerprint=Fingerprint(12, 34))
    first = rng.integers(0, 9, (1, 256, 256), "u1")
    second = rng.integers(0, 2**31, (1, 44, 8), "u4")
    size = create(path, header, [encode_tile((0, 0, 0), tile(5), 1.0)])
    size = append(path, size, [encode_tile((2, 256, 512), second, 3.0), encode_tile((0, 0, 0), first, 2.0)])
    assert path.stat().st_size == size
    content = read(path)
    assert content.header == header
    assert not content.damaged
    assert content.last_time == 3.0
    assert content.dtype == np.uint32
    assert [item.start for item in content.tiles] == [(2, 256, 512), (0, 0, 0)]
    labels = np.zeros(SHAPE, np.uint32)
    boxes = apply(content, labels)
    assert boxes == tuple(item.box for item in content.tiles)
    assert np.array_equal(labels[:1, :256, :256], first)
    assert np.array_equal(labels[2:, 256:, 512:], second)
    assert np.count_nonzero(labels) == np.count_nonzero(first) + np.count_nonzero(second)


def test_big_endian_labels_are_read_back(tmp_path, header):
    pixels = np.arange(6, dtype=">u2").reshape(1, 2, 3)
    path = tmp_path / "a.journal"
    create(path, header, [encode_tile((0, 0, 0), pixels, 1.0)])
    assert np.array_equal(read(path).tiles[0].pixels, pixels)


def test_parts_that_overlap_are_applied_in_their_order(tmp_path, header):
    whole, part = tile(1), tile(2, (1, 10, 10))
    path = tmp_path / "a.journal"
    records = [encode_tile((0, 0, 0), pixels, 1.0) for pixels in (part, whole, part, whole)]
    labels = np.zeros(SHAPE, np.uint8)
    create(path, header, records[:3])
    apply(read(path), labels)
    assert labels[0, 0, 0] == 2
    assert labels[0, 10, 10] == 1
    create(path, header, records)
    apply(read(path), labels)
    assert labels[0, :256, :256].max() == 1


def test_a_file_that_ends_anywhere_gives_all_that_is_whole(tmp_path, header):
    path = tmp_path / "a.journal"
    sizes = [create(path, header, [])]
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 2, (1, 9, 9), "u1")
        sizes.append(append(path, sizes[-1], [encode_tile((0, 0, number), pixels, 1.0)]))
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        if end < sizes[0] - 1:
            with pytest.raises(DataError, match="damaged"):
                read(path)
            continue
        content = read(path)
        whole = sum(end >= size for size in sizes[1:])
        assert len(content.tiles) == whole
        assert content.damaged == (end not in (*sizes, sizes[0] - 1))


def test_damage_anywhere_is_noticed_and_the_rest_is_used(tmp_path, header):
    rng = random.Random(0)
    path = tmp_path / "a.journal"
    begin = create(path, header, [])
    records = [encode_tile((0, 0, number), tile(number, (1, 9, 9)), 1.0) for number in range(8)]
    append(path, begin, records)
    data = path.read_bytes()
    for _ in range(300):
        place = rng.randrange(begin, len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ rng.randrange(1, 256)]) + data[place + 1 :])
        content = read(path)
        assert content.damaged
        assert len(content.tiles) == 7
        assert all((item.pixels == item.start[2]).all() for item in content.tiles)
    for place in range(begin - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError):
            read(path)


def test_rubbish_is_no_journal_and_after_the_header_it_is_left_out(tmp_path, header):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.journal"
    create(path, header, [encode_tile((0, 0, 0), tile(1), 1.0)])
    good = path.read_bytes()
    for _ in range(50):
        rubbish = rng.bytes(int(rng.integers(0, 3000)))
        path.write_bytes(rubbish)
        with pytest.raises(DataError, match="is no journal"):
            read(path)
        path.write_bytes(good + rubbish + b"\x8fTL\n" + rubbish)
        assert read(path).damaged
        assert len(read(path).tiles) == 1
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "missing.journal")
    path.write_bytes(good.replace(b"journal 1", b"journal 2", 1))
    with pytest.raises(DataError, match="another version"):
        read(path)


@pytest.mark.parametrize(
    ("start", "pixels", "labels", "sentence"),
    [
        ((0, 0, 0), tile(1), np.zeros((3, 300, 521), "u1"), "belong to a mask of 3 x 300 x 520 pixels"),
        ((0, 0, 0), tile(1, dtype="u2"), np.zeros(SHAPE, "u1"), "they do not fit uint8"),
        ((0, 100, 0), tile(1), np.zeros(SHAPE, "u1"), "outside of the image"),
        ((0, 0), tile(1, (256, 256)), np.zeros(SHAPE, "u1"), "outside of the image"),
    ],
)
def test_a_journal_of_another_mask_is_refused(tmp_path, header, start, pixels, labels, sentence):
    path = tmp_path / "a.journal"
    create(path, header, [encode_tile((1, 0, 0), tile(1), 1.0), encode_tile(start, pixels, 1.0)])
    with pytest.raises(DataError, match=sentence):
        apply(read(path), labels)
    assert not labels.any()


# Writing in the background


def test_an_untouched_image_leaves_no_journal(start, tmp_path):
    journal = start()
    journal.add([])
    journal.forget(journal.mark())
    assert journal.flush()
    assert journal.close()
    assert not (tmp_path / "journals").exists()


def test_edits_are_on_the_disk_without_being_asked_for(start):
    journal = start()
    pixels = tile(1)
    journal.add([((0, 0, 0), pixels), ((1, 0, 256), tile(2))])
    pixels[:] = 9  # painting goes on
    deadline = time.monotonic() + 20
    while not journal.path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert values(journal.path) == {(0, 0, 0): 1, (1, 0, 256): 2}


def test_the_last_of_a_tile_counts_and_strokes_become_one_record(start):
    journal = start()
    journal.add(((0, 0, 0), tile(value)) for value in range(1, 50))
    assert journal.flush()
    size = journal.path.stat().st_size
    assert values(journal.path) == {(0, 0, 0): 49}
    journal.add([((0, 0, 0), tile(50))])
    assert journal.flush()
    assert values(journal.path) == {(0, 0, 0): 50}
    assert journal.path.stat().st_size < size + 500


def test_a_large_edit_is_written_whole(start):
    journal = start()
    journal.add(((0, y, 0), tile(y % 200, (1, 1, 7))) for y in range(1000))
    assert journal.flush(60)
    assert values(journal.path) == {(0, y, 0): y % 200 for y in range(1000)}


def test_after_a_save_the_journal_is_gone_and_begins_anew(start, header):
    journal = start()
    journal.add([((0, 0, 0), tile(1))])
    assert journal.flush()
    saved = replace(header, fingerprint=Fingerprint(1, 2))
    journal.forget(journal.mark(), saved)
    assert journal.flush()
    assert not journal.path.exists()
    later = replace(header, fingerprint=Fingerprint(3, 4))
    journal.forget(journal.mark(), later)  # saved again without an edit
    journal.add([((1, 0, 0), tile(2))])
    assert journal.flush()
    assert values(journal.path) == {(1, 0, 0): 2}
    assert read(journal.path).header == later


@pytest.mark.parametrize("flushed", [True, False])
def test_edits_after_the_snapshot_survive_the_save(start, header, flushed):
    journal = start()
    journal.add([((0, 0, 0), tile(1)), ((0, 0, 256), tile(2)), ((1, 0, 0), tile(3))])
    if flushed:
        assert journal.flush()
    token = journal.mark()
    journal.add([((0, 0, 256), tile(4)), ((2, 0, 0), tile(5))])
    if flushed:
        assert journal.flush()
    saved = replace(header, fingerprint=Fingerprint(1, 2))
    journal.forget(token, saved)
    assert journal.flush()
    assert values(journal.path) == {(0, 0, 256): 4, (2, 0, 0): 5}
    assert read(journal.path).header == saved
    journal.forget()
    assert journal.close()
    assert not journal.path.exists()


def test_saving_while_painting_goes_on_in_another_thread_loses_nothing(start):
    journal = start()
    expected: dict[tuple[int, ...], int] = {}
    rng = random.Random(1)
    token, saved = 0, dict(expected)
    for number in range(1, 400):
        place = (rng.randrange(3), 0, rng.randrange(20))
        expected[place] = number % 250 + 1
        journal.add([(place, tile(expected[place], (1, 1, 1)))])
        if number % 40 == 0:
            token, saved = journal.mark(), dict(expected)
        if number % 40 == 20:
            journal.forget(token)
        if number % 7 == 0:
            time.sleep(0.005)
        if number % 90 == 0:
            journal.flush()
    assert journal.flush()
    labels = np.zeros(SHAPE, np.uint8)
    for place, value in saved.items():  # what the mask on disk has
        labels[place] = value
    apply(read(journal.path), labels)
    assert {place: int(labels[place]) for place in expected} == expected


def test_a_closed_journal_stays_and_goes_on_when_it_is_used_again(start):
    journal = start()
    journal.add([((0, 0, 0), tile(1))])
    assert journal.close()
    assert values(journal.path) == {(0, 0, 0): 1}
    journal.add([((1, 0, 0), tile(2))])
    assert journal.close()
    assert values(journal.path) == {(0, 0, 0): 1, (1, 0, 0): 2}
    journal.forget()
    assert journal.close()
    assert not journal.path.exists()


def test_a_journal_that_somebody_deleted_or_cut_is_written_anew(start):
    journal = start()
    journal.add([((0, 0, 0), tile(1))])
    assert journal.flush()
    journal.path.unlink()
    journal.path.parent.rmdir()
    journal.add([((1, 0, 0), tile(2))])
    assert journal.flush()
    assert values(journal.path) == {(0, 0, 0): 1, (1, 0, 0): 2}
    os.truncate(journal.path, 10)
    journal.add([((2, 0, 0), tile(3))])
    assert journal.flush()
    assert values(journal.path) == {(0, 0, 0): 1, (1, 0, 0): 2, (2, 0, 0): 3}


def test_a_journal_does_not_grow_without_end(start, monkeypatch):
    monkeypatch.setattr(journal_store, "LARGE", 400_000)
    journal = start()
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(12):
        noise = rng.integers(0, 256, (1, 256, 256), "u1")
        journal.add([((0, 0, 0), noise), ((1, 0, 0), tile(1))])
        assert journal.flush()
        sizes.append(journal.path.stat().st_size)
    assert max(sizes) < 500_000
    assert any(later < earlier for earlier, later in pairwise(sizes))
    content = read(journal.path)
    assert not content.damaged
    assert np.array_equal({item.start: item for item in content.tiles}[0, 0, 0].pixels, noise)


@pytest.mark.parametrize("pixels", [np.zeros((1, 2, 2), "i2"), np.zeros((2, 2), "u1"), np.zeros((1, 2, 2), bool)])
def test_only_labels_are_taken(start, pixels):
    with pytest.raises(ValueError, match="takes unsigned numbers"):
        start().add([((0, 0, 0), pixels)])


# When the disk does not take it


def test_edits_wait_until_the_folder_can_be_written_to(start, tmp_path):
    told: list[str | None] = []
    (tmp_path / "journals").write_text("a file is in the way")
    journal = start(on_problem=told.append)
    journal.add([((0, 0, 0), tile(1))])
    assert not journal.flush()
    journal.add([((0, 0, 0), tile(2)), ((1, 0, 0), tile(3))])
    assert not journal.flush()
    assert journal.problem is not None
    assert told == [journal.problem]
    assert "Unsaved changes of cell ä 1.tif cannot be secured" in journal.problem
    (tmp_path / "journals").unlink()
    assert journal.flush()
    assert journal.close()
    assert journal.problem is None
    assert told[1:] == [None]
    assert values(journal.path) == {(0, 0, 0): 2, (1, 0, 0): 3}


def test_a_save_makes_a_problem_go_away(start, tmp_path):
    told: list[str | None] = []
    (tmp_path / "journals").mkdir()
    (tmp_path / "journals" / "cell.journal").mkdir()
    journal = start(on_problem=told.append)
    journal.add([((0, 0, 0), tile(1))])
    assert not journal.close()
    (tmp_path / "journals" / "cell.journal").rmdir()
    journal.forget(journal.mark())
    assert journal.close()
    assert told[-1] is None
    assert not journal.path.exists()


def test_a_listener_that_fails_does_not_end_the_journal(start, tmp_path, caplog):
    def fail(_: str | None) -> None:
        raise RuntimeError("the window is gone")

    (tmp_path / "journals").write_text("in the way")
    journal = start(on_problem=fail)
    journal.add([((0, 0, 0), tile(1))])
    assert not journal.flush()
    (tmp_path / "journals").unlink()
    assert journal.flush()
    assert values(journal.path) == {(0, 0, 0): 1}
    assert "the window is gone" in caplog.text


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of 1 MB, or skip the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("only the superuser of a Linux can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_that_is_emptied_again(start, tmp_path):
    rng = np.random.default_rng(0)
    told: list[str | None] = []
    with small_disk(tmp_path / "disk") as disk:
        journal = start(disk / "a.journal", on_problem=told.append)
        journal.add([((0, 0, 0), tile(1))])
        assert journal.flush()
        fill(disk / "filler")
        noise = [rng.integers(0, 256, (1, 256, 256), "u1") for _ in range(2)]
        journal.add([((1, 0, 0), noise[0]), ((2, 0, 0), noise[1])])
        assert not journal.flush()
        assert "no space left on device" in str(journal.problem).lower()
        assert values(disk / "a.journal") == {(0, 0, 0): 1}
        (disk / "filler").unlink()
        assert journal.flush()
        assert journal.close()
        assert told == [told[0], None]
        content = read(disk / "a.journal")
        assert not content.damaged
        assert [item.start for item in content.tiles] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
        assert all(np.array_equal(item.pixels, n) for item, n in zip(content.tiles[1:], noise, strict=True))


def test_edits_are_written_where_there_is_no_room_for_another_beginning(start, tmp_path, header):
    noise = np.random.default_rng(0).integers(0, 256, (9, 1, 256, 256), "u1")
    with small_disk(tmp_path / "disk") as disk:
        journal = start(disk / "a.journal")
        journal.add(((z, 0, 0), noise[z]) for z in range(9))  # more than half of the disk
        assert journal.flush()
        journal.set_header(replace(header, axes="ZYX"))
        journal.add([((0, 0, 256), tile(1, (1, 256, 200)))])
        assert not journal.flush()
        content = read(disk / "a.journal")
        assert content.header == header
        assert [item.start for item in content.tiles] == [*((z, 0, 0) for z in range(9)), (0, 0, 256)]
        journal.forget()
        assert journal.close()


LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.journal_header import new_header
told = []
path = Path(sys.argv[1])
header = new_header(path, path, name="a", fingerprint=None, shape=(9, 256, 256), dtype=np.dtype("u1"), convention={})
journal = Journal(path, header, told.append)
noise = np.random.default_rng(0).integers(0, 256, (9, 1, 256, 256), "u1")
journal.add([((0, 0, 0), noise[0])])
assert journal.flush()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, hard))
journal.add([((z, 0, 0), noise[z]) for z in range(1, 9)])
assert not journal.flush()
assert journal.problem and told == [journal.problem]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert journal.flush() and journal.close()
assert told[1:] == [None] and journal.problem is None
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
def test_a_write_that_is_cut_short_is_repeated_whole(tmp_path):
    path = tmp_path / "a.journal"
    subprocess.run([sys.executable, "-c", LIMITED, str(path)], check=True)
    content = read(path)
    assert not content.damaged
    noise = np.random.default_rng(0).integers(0, 256, (9, 1, 256, 256), "u1")
    assert [item.start[0] for item in content.tiles] == list(range(9))
    assert all(np.array_equal(item.pixels, noise[item.start[0]]) for item in content.tiles)


# After a crash

PAINT = """
import sys, time
from pathlib import Path
import numpy as np
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.journal_header import new_header
path = Path(sys.argv[1])
header = new_header(path, path, name="a", fingerprint=None, shape=(40, 256, 256), dtype=np.dtype("u4"), convention={})
journal = Journal(path, header)
rng = np.random.default_rng(0)
number = 0
while True:
    number += 1
    pixels = np.zeros((1, 256, 256), "u4")
    pixels[0, 10:200, number % 100 : 200] = rng.integers(0, 1000)
    pixels[0, 0, 0] = number
    journal.add([((number % 40, 0, 0), pixels)])
    print(number, time.time(), flush=True)
    time.sleep(0.01)
"""


@pytest.mark.parametrize("seconds", [2.5, 3.3, 4.1])
def test_kill_9_loses_nothing_that_is_older_than_two_seconds(tmp_path, seconds):
    path = tmp_path / "a.journal"
    with subprocess.Popen([sys.executable, "-c", PAINT, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        lines += child.stdout.readlines()
    painted = [(int(number), float(when)) for number, when in (line.split() for line in lines if line.endswith("\n"))]
    killed = painted[-1][1]
    content = read(path)
    found = {item.start[0]: int(item.pixels[0, 0, 0]) for item in content.tiles}
    old = [number for number, when in painted if when < killed - 2]
    assert len(old) > 10
    for number in old:
        assert found[number % 40] >= number
    [item] = find_abandoned(tmp_path)
    assert item.path == path


def test_only_journals_of_the_dead_are_found_newest_first(tmp_path, header):
    assert find_abandoned(tmp_path / "missing") == []
    image = tmp_path / "data" / "cell ä 1.tif"
    names = {}
    for name, of, when in [
        ("older", dead(header), 5.0),
        ("newer", dead(header), 7.0),
        ("alive", header, 9.0),
        ("far", replace(header, host="another-computer"), 1.0),
    ]:
        names[name] = new_journal_path(tmp_path, image)
        create(names[name], of, [encode_tile((z, 0, 0), tile(1), when) for z in range(2)])
    (tmp_path / ".attnseg-0.journal").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("no journal")
    assert len(set(names.values())) == 4
    found = find_abandoned(tmp_path)
    assert [item.path for item in found] == [names["newer"], names["older"]]
    assert found[0] == Abandoned(names["newer"], dead(header), 7.0, damaged=False, mask_changed=False)
    assert [item.path for item in find_abandoned(tmp_path, other_hosts=True)][-1] == names["far"]


def test_a_journal_that_was_released_is_found_while_its_process_lives(start):
    journal = start()
    journal.add([((0, 0, 0), tile(7))])
    assert journal.flush()
    assert find_abandoned(journal.path.parent) == []
    journal.add([((1, 0, 0), tile(8))])
    assert journal.release()
    [item] = find_abandoned(journal.path.parent)
    assert item.elsewhere == ""
    assert values(item.path) == {(0, 0, 0): 7, (1, 0, 0): 8}


def test_a_released_journal_of_another_computer_is_in_use_nowhere(tmp_path, header):
    for name, released in (("used", False), ("free", True)):
        far = replace(header, host="another-computer", released=released)
        create(tmp_path / f"{name}.journal", far, [encode_tile((0, 0, 0), tile(1), 1.0)])
    assert [item.path.stem for item in find_abandoned(tmp_path)] == ["free"]
    found = {item.path.stem: item.elsewhere for item in find_abandoned(tmp_path, other_hosts=True)}
    assert found == {"used": "another-computer", "free": ""}


def test_damaged_journals_are_found_too(tmp_path, header):
    path, hopeless = tmp_path / "a.journal", tmp_path / "b.journal"
    size = create(path, dead(header), [encode_tile((z, 0, 0), tile(1), 7.0) for z in range(2)])
    os.truncate(path, size - 5)
    hopeless.write_bytes(b"x" * 100)
    found = {item.path: item for item in find_abandoned(tmp_path)}
    assert found[path].damaged
    assert len(read(path).tiles) == 1
    assert found[hopeless].header is None
    assert found[hopeless].damaged
    assert "is no journal" in str(found[hopeless].problem)


def test_it_is_noticed_that_the_mask_has_changed_since(tmp_path, header):
    header.mask.parent.mkdir()
    header.mask.write_bytes(b"mask")
    path = tmp_path / "a.journal"
    create(path, replace(dead(header), fingerprint=Fingerprint.of(header.mask)), [])
    assert not find_abandoned(tmp_path)[0].mask_changed
    header.mask.write_bytes(b"another")
    assert find_abandoned(tmp_path)[0].mask_changed
    header.mask.unlink()
    assert find_abandoned(tmp_path)[0].mask_changed


def test_discarded_journals_are_kept_the_newest_twenty(tmp_path, header):
    for number in range(25):
        path = tmp_path / "same name.journal"
        create(path, dead(header), [encode_tile((0, 0, 0), tile(number), float(number))])
        os.utime(path, (1000 - number,) * 2)  # when it was edited last does not count
        assert discard(path) is not None
        assert not path.exists()
        for kept in (tmp_path / "discarded").iterdir():  # a second has passed
            os.utime(kept, (kept.stat().st_mtime - 1,) * 2)
    found = [next(iter(values(path).values())) for path in (tmp_path / "discarded").iterdir()]
    assert sorted(found) == list(range(5, 25))
    assert find_abandoned(tmp_path) == []
    assert discard(tmp_path / "missing.journal") is None


def test_a_journal_that_cannot_be_put_away_stays(tmp_path, header):
    path = tmp_path / "a.journal"
    create(path, header, [])
    (tmp_path / "discarded").write_text("in the way")
    with pytest.raises(SaveError, match=r"could not be put away: .* It is still there"):
        discard(path)
    assert read(path).header == header


def test_a_restored_mask_is_safe_before_the_old_journal_goes(start, tmp_path, header):
    old = tmp_path / "journals" / "old.journal"
    create(old, dead(header), [encode_tile((z, 0, 0), tile(z + 1), 1.0) for z in range(3)])
    [item] = find_abandoned(old.parent)
    labels = np.zeros(SHAPE, np.uint8)
    boxes = apply(read(item.path), labels)
    journal = start()
    journal.add((tuple(part.start for part in box), labels[box]) for box in boxes)
    assert journal.flush()
    discard(item.path)
    assert values(journal.path) == {(0, 0, 0): 1, (1, 0, 0): 2, (2, 0, 0): 3}


def test_a_journal_of_an_earlier_version_is_read(tmp_path, header):
    path = tmp_path / "a.journal"
    create(path, header, [encode_tile((0, 0, 0), tile(7), 1.0)])
    first, rest = path.read_bytes().split(b"\n", 1)
    fields = json.loads(first.split(b" ", 3)[3])
    for added in ("axes", "released"):
        del fields[added]
    text = json.dumps(fields).encode()
    path.write_bytes(b"napari-attnseg-journal 1 %08x %s\n" % (zlib.crc32(text), text) + rest)
    assert read(path).header == header
    assert values(path) == {(0, 0, 0): 7}


def test_headers_are_plain_json_on_one_line(tmp_path, header):
    path = tmp_path / "a.journal"
    create(path, header, [])
    line = path.read_bytes()
    assert line.count(b"\n") == 1
    fields = json.loads(line.split(b" ", 3)[3])
    assert fields["image"] == str(header.image)
    assert fields["convention"] == BINARY
    assert fields["pid"] == os.getpid()

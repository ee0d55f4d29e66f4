"""Objects of whole stacks: planes, volumes and frames, in memory or not, stopped half-way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.errors import DataError, SettingsError, Stopped
from napari_attnseg.objects import blank, room
from napari_attnseg.objects.finding import find_objects
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.settings import ObjectSettings
from tests.objects.drawn import ellipsoid

SIZE = (40, 60)
LARGE = """
import numpy as np
from napari_attnseg.errors import DataError
from napari_attnseg.objects import blank, finding
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.settings import ObjectSettings
blank.MOST_IN_MEMORY = 100
try:
    finding.find_objects(np.ones((8, 300, 300), np.uint8), (300, 300), Geometry("Z", (8,)), ObjectSettings(split=False))
except DataError as error:
    print(error)
"""


def stack(planes: int) -> np.ndarray:
    """Return planes with an ellipse of class 1 and one of class 2."""
    one = ellipsoid(SIZE, (20, 15), (9, 9)).astype(np.uint8) + 2 * ellipsoid(SIZE, (20, 42), (9, 15))
    return np.repeat(one[None].astype(np.uint8), planes, axis=0)


def test_each_class_is_cut_by_its_own_probability() -> None:
    classes = stack(1)
    probability = np.stack([(classes[0] == number) * 0.9 for number in range(3)]).astype(np.float32)
    probability[:, :, 40:44] *= 0.6
    found = find_objects(classes, SIZE, Geometry(), ObjectSettings(), probability=probability[None])
    assert list(found.classes) == [0, 1, 2, 2]
    assert np.array_equal(found.classes[found.labels], classes)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("reach", "count"), [("z", 2 * 2), ("planes", 2 * 6)])
def test_frames_are_apart_and_planes_together(split: bool, reach: str, count: int) -> None:
    geometry = Geometry("TZ", (2, 3), (1.0, 1.0), 2.0, "µm")
    settings = ObjectSettings(split=split, reach=reach)
    shares: list[float] = []
    found = find_objects(stack(6), SIZE, geometry, settings, on_progress=shares.append)
    assert found.count == count
    assert np.array_equal(found.classes[found.labels], stack(6))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    turned = find_objects(stack(6), SIZE, Geometry("ZT", (3, 2), (1.0, 1.0), 2.0, "µm"), settings)
    assert turned.count == count


def test_a_stack_too_large_for_memory_has_the_same_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = Geometry("Z", (4,))
    for split in (False, True):
        settings = ObjectSettings(split=split)
        whole = find_objects(stack(4), SIZE, geometry, settings)
        with monkeypatch.context() as patch:
            patch.setattr(blank, "MOST_IN_MEMORY", 100)
            apart = find_objects(stack(4), SIZE, geometry, settings)
        assert isinstance(apart.labels, np.memmap)
        assert np.array_equal(apart.labels, whole.labels)


def test_a_full_disk_for_temporary_files_is_one_sentence(tmp_path: Path) -> None:
    """In a process of its own, which the system kills where a mapped file has no space behind it."""
    mount, place = shutil.which("mount"), tmp_path / "small disk"
    place.mkdir()
    command = [mount or "", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("disks cannot be mounted here")
    try:
        environment = os.environ | {"TMPDIR": str(place)}
        child = subprocess.run([sys.executable, "-c", LARGE], env=environment, capture_output=True, text=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith(f"The numbers of the objects take 0.0 GB in {place}, the folder of temporary files,")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on file sizes")
def test_a_file_that_may_not_become_so_large_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(blank, "MOST_IN_MEMORY", 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DataError, match="the folder of temporary files, which has no room"):
            find_objects(stack(4), SIZE, Geometry("Z", (4,)), ObjectSettings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_it_stops_and_refuses() -> None:
    for split in (False, True):
        with pytest.raises(Stopped):
            find_objects(stack(3), SIZE, Geometry("T", (3,)), ObjectSettings(split=split), should_stop=lambda: True)
    with pytest.raises(SettingsError, match=r"a.tif does not say how large a pixel is"):
        find_objects(stack(1), SIZE, Geometry(), ObjectSettings(unit="physical"), name="a.tif")
    flat = Geometry("Z", (3,), (1.0, 1.0), None, "µm")
    with pytest.raises(SettingsError, match="how far its planes are from each other"):
        find_objects(stack(3), SIZE, flat, ObjectSettings(unit="physical"))
    assert find_objects(stack(3), SIZE, flat, ObjectSettings(unit="physical", reach="planes")).count == 6


def test_small_objects_are_dropped_by_volume() -> None:
    geometry = Geometry("Z", (3,), (0.5, 0.5), 2.0, "µm")
    pixels = [np.count_nonzero(stack(3) == number) for number in (1, 2)]
    between = (pixels[0] + pixels[1]) / 2
    for split in (False, True):
        for unit, size in (("pixels", between), ("physical", between * 0.5)):
            settings = ObjectSettings(split=split, unit=unit, min_size=size, smoothing=0.5)
            found = find_objects(stack(3), SIZE, geometry, settings)
            assert list(found.classes) == [0, 2]


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BYTES_TO_SEPARATE", 2**50)
    with pytest.raises(DataError, match=r"objects of a\.tif takes about .*--reach planes.*--no-split.* cut the image"):
        find_objects(stack(3), SIZE, Geometry("Z", (3,)), ObjectSettings(), name="a.tif")
    assert find_objects(stack(3), SIZE, Geometry("Z", (3,)), ObjectSettings(split=False)).count == 2


def test_the_planes_that_an_object_can_be_on() -> None:
    geometry = Geometry("TZ", (2, 3))
    assert geometry.together("planes") == [[0], [1], [2], [3], [4], [5]]
    assert geometry.together("z") == [[0, 1, 2], [3, 4, 5]]
    assert geometry.together("zt") == [[0, 1, 2, 3, 4, 5]]
    assert Geometry("ZT", (3, 2)).together("z") == [[0, 2, 4], [1, 3, 5]]
    assert Geometry().together("z") == [[0]]

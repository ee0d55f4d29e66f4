"""How much memory may be taken: what the computer has free, within what a job, a container or a user is allowed.

What a computer has free says nothing of a job of 16 GB on a machine of 512 GB, and the system ends a program that
takes more than it is allowed, without a word.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

import psutil

from napari_attnseg.errors import SettingsError

MEMORY_VARIABLE = "NAPARI_ATTNSEG_MEMORY"

_OWN_GROUPS = Path("/proc/self/cgroup")
_ALL_GROUPS = Path("/sys/fs/cgroup")
_LIMITS = {  # of a control group, and what counts towards them; by the version of control groups
    2: (("memory.max", "memory.high"), "memory.current"),
    1: (("memory.limit_in_bytes",), "memory.usage_in_bytes"),
}
_UNLIMITED = 2**60  # version 1 writes a number close to 2**63, version 2 'max'
_GIVEN_BACK = ("inactive_file", "active_file")
"""What the system keeps of files that were read, and forgets as soon as memory is short."""

# only within a block of `granted`, and in its thread: several workers of a cluster may share a process
_granted: ContextVar[tuple[Callable[[], int], ...]] = ContextVar("_granted", default=())


def free_memory() -> int:
    """Return how many bytes of memory may be taken.

    It is the least of what the computer has free, what the control groups of this process have left (of a job of SLURM,
    of a container), its limits (`ulimit -v` and `ulimit -d`), and what is `granted`. The environment variable
    NAPARI_ATTNSEG_MEMORY, in gigabytes, says that it is not more.

    Raises
    ------
    SettingsError
        The variable holds no number.
    """
    free = [psutil.virtual_memory().available, *_left_to_groups(), *_left_to_process(), *_allowed()]
    return max(int(min(free + [left() for left in _granted.get()])), 0)


@contextmanager
def granted(left: Callable[[], int]) -> Iterator[None]:
    """Within this block, have no more memory count as free than `left` says, in bytes."""
    token = _granted.set((*_granted.get(), left))
    try:
        yield
    finally:
        _granted.reset(token)


def _allowed() -> list[int]:
    """Return what the environment variable says, if it is there."""
    allowed = os.environ.get(MEMORY_VARIABLE, "")
    try:
        found = [round(float(allowed) * 1e9)] if allowed else []
    except (ValueError, OverflowError):
        found = [-1]
    if found and found[0] < 0:
        raise SettingsError(
            f"The environment variable {MEMORY_VARIABLE} is '{allowed}'; expected gigabytes, such as 16 or 0.5."
        )
    return found


def _left_to_groups() -> Iterator[int]:
    """Yield what the control groups of this process, and those that these are in, have left below their limits."""
    for version, group in _own_groups():
        # a container often sees its own group at the top, and is told the path that the group has outside
        root = _ALL_GROUPS if version == 2 else _ALL_GROUPS / "memory"
        for path in (group, *group.parents):
            left = _left_in(root / path, *_LIMITS[version])
            if left is not None:
                yield left


def _own_groups() -> Iterator[tuple[int, PurePosixPath]]:
    """Yield the groups that may limit the memory of this process, with their version; none but on Linux."""
    for line in _read(_OWN_GROUPS).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or "memory" in controllers.split(","):
            parts = (part for part in path.split("/") if part not in ("", ".."))
            yield 1 if controllers else 2, PurePosixPath(*parts)


def _left_in(group: Path, limits: Iterable[str], usage: str) -> int | None:
    """Return what a control group has left; None if it has no limit, or does not say."""
    found = [int(text) for name in limits if (text := _read(group / name).strip()).isdecimal()]
    limit = min(found, default=_UNLIMITED)
    used = _read(group / usage).strip() if limit < _UNLIMITED else ""
    return limit - max(int(used) - _given_back(group), 0) if used.isdecimal() else None


def _given_back(group: Path) -> int:
    words = (line.split() for line in _read(group / "memory.stat").splitlines())
    stat = {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}
    # version 1 has totals, which include the groups below as the usage does; version 2 has nothing else
    return sum(stat.get(f"total_{name}", stat.get(name, 0)) for name in _GIVEN_BACK)


def _left_to_process() -> list[int]:
    """Return what the limits of this process leave to it; only Linux keeps to them."""
    if sys.platform != "linux":
        return []
    import resource

    limits = {"vms": resource.getrlimit(resource.RLIMIT_AS)[0], "data": resource.getrlimit(resource.RLIMIT_DATA)[0]}
    known = {name: limit for name, limit in limits.items() if limit != resource.RLIM_INFINITY}
    used = psutil.Process().memory_info() if known else None
    return [limit - int(getattr(used, name)) for name, limit in known.items()]


def _read(path: Path) -> str:
    """Return what a file of the system says; nothing if it is not there, or not for us."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""

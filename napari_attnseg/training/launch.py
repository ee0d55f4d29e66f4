"""Whether torchrun started several processes for one training, and which of them this is; known without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """One of the processes that torchrun started, or the only one."""

    rank: int = 0
    size: int = 1
    """Processes in all."""
    local_rank: int = 0
    local_size: int = 1
    """Processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def is_shared(self) -> bool:
        """Whether there are others."""
        return self.size > 1


def launch() -> Launch:
    """Read what torchrun sets in the environment; without it there is one process."""
    found = os.environ
    if any(name not in found for name in _NEEDED):
        return Launch()
    size = int(found["WORLD_SIZE"])
    return Launch(
        int(found["RANK"]),
        size,
        int(found.get("LOCAL_RANK", 0)),
        int(found.get("LOCAL_WORLD_SIZE", size)),
    )

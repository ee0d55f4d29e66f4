"""Memory that is kept for the next tensors."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from napari_attnseg.models.heap import give_back_heap, keep_heap
import psutil
{keep}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(10_000_000)  # 40 MB, more than the C library ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
kept = psutil.Process().memory_info().rss
give_back_heap()
print(kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the GNU C library is what this is about")
def test_memory_is_kept_and_given_back() -> None:
    found = {}
    for keep in ("", "keep_heap()"):
        code = CODE.format(keep=keep)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
        found[keep] = [int(line) for line in done.stdout.split()]
    assert found[""][0] > 20_000, "each tensor comes as new pages"
    assert found["keep_heap()"][0] < 2_000
    assert found["keep_heap()"][1] > 30_000_000, "what was kept is given back"

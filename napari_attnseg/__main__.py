"""The program `napari-attnseg`, also as `python -m napari_attnseg`."""

from __future__ import annotations

import gc
import sys

from napari_attnseg.cli import main
from napari_attnseg.models.heap import keep_heap


def program() -> None:
    """Run the command line and exit with its code."""
    keep_heap()
    code = main()
    gc.freeze()  # else Python looks through all of torch once more before it ends, which takes half a second
    sys.exit(code)


if __name__ == "__main__":
    program()

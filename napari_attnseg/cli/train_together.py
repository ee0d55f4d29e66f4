"""`train` as several processes that torchrun started: one of them speaks for all, and has the last word."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_attnseg.errors import AttnSegError, ShortOfMemoryError
from napari_attnseg.training.launch import launch

if TYPE_CHECKING:
    from napari_attnseg.training.group import Group


def train_together(options: argparse.Namespace, train: Callable[[argparse.Namespace, Group], int]) -> int:
    """Find the other processes, train with them, and return the exit code.

    Parameters
    ----------
    options
        Of the command line, the same for all processes.
    train
        What trains.
    """
    from napari_attnseg.training.group import Group  # torch takes seconds to import

    group = Group.join(launch())
    try:
        code = train(options, group)
    except ShortOfMemoryError as error:
        _say(error)
        if group.is_first:  # else the first learns of it by the end of this process, and is not waited for
            group.has_spoken()
        return 1
    except AttnSegError as error:
        if group.is_first:
            _say(error)
        if not group.has_spoken() and not group.is_first:  # it waits for this one, or for another
            _say(error)
        return 1
    group.leave()
    return code


def _say(error: AttnSegError) -> None:
    print(f"napari-attnseg: {error}", file=sys.stderr, flush=True)

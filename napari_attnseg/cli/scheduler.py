"""The options of commands that a dask cluster can do."""

from __future__ import annotations

import argparse

DEFAULT_TIMEOUT = 10.0


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cluster does the work."""
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="share the images out over the workers of a dask cluster, such as tcp://host:8786 (see docs/cluster.md)",
    )
    group.add_argument(
        "--scheduler-timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="X",
        help=f"seconds to wait for the scheduler, and for a first worker (default {DEFAULT_TIMEOUT:g})",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time to wait")
    return value

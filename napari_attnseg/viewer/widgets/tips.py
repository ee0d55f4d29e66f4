"""Tooltips of several sentences; Qt breaks lines in rich text only."""

from __future__ import annotations

import textwrap

WIDTH = 60  # characters


def wrapped(text: str) -> str:
    """Break the lines of a tooltip; those that it has stay."""
    return "\n".join(textwrap.fill(line, WIDTH) for line in text.splitlines())

"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return such as '1 mask' or '3 masks'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

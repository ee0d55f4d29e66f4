"""The tables that are printed, in Markdown, so that they can be pasted into the report."""

from __future__ import annotations


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n## {text}", flush=True)


def columns(*names: str) -> None:
    """Begin a table."""
    print()
    row(*names)
    print("|" + "-|" * len(names), flush=True)


def row(*cells: str) -> None:
    """Print one row, as soon as it is known: some take many minutes."""
    print("| " + " | ".join(cells) + " |", flush=True)


def note(text: str) -> None:
    """Print a line between tables."""
    print(f"\n{text}", flush=True)


def against(ratio: float, goal: float = 1.0) -> str:
    """Return how many times better we are than something, and whether that is enough.

    >>> against(1.239), against(0.9), against(1.239, 1.8)
    ('1.24', '0.90: **lost**', '1.24: **missed**, to reach 1.8')
    """
    if ratio > 1.0 and ratio >= goal:
        return f"{ratio:.2f}"
    return f"{ratio:.2f}: **lost**" if ratio <= 1.0 else f"{ratio:.2f}: **missed**, to reach {goal:g}"

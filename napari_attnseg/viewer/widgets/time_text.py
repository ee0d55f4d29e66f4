"""Times, speeds and sizes for people."""

from __future__ import annotations


def time_left(seconds: float) -> str:
    """Write how long something will take: '0:40 left', '1:40 left', '2 h 05 left'."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} left"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} left"


def memory(size: float) -> str:
    """Write a number of bytes: '820 MB', '1.2 GB'."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def speed(images_per_second: float) -> str:
    """Write how many patches are learnt a second: '31 patches/s', '0.8 patches/s'."""
    digits = 0 if images_per_second >= 10 else 1
    return f"{images_per_second:.{digits}f} patches/s"


def share(part: float) -> str:
    """Write a share: '62 %'; all of it only when nothing is left."""
    return f"{min(int(100 * part + 1e-9), 100)} %"

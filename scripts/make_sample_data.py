"""Draw the sample data set: synthetic microscopy and MRI that needs no download and can be shared freely.

Nothing is copied from real images. Every file has its own random generator, seeded with its name, so a file does not
depend on the others and comes out the same again (with the same library versions). Masks are the geometry that the
images are drawn from, before blur and noise. Run it with ``python scripts/make_sample_data.py --out sample_data``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sample_data.catalogue import all_samples, draw_sample
from sample_data.threshold import otsu_f1
from sample_data.writing import write_classes, write_sample


def main() -> None:
    """Write everything, then print how far a global threshold gets on the nuclei."""
    parser = argparse.ArgumentParser(description="Write the synthetic sample data.")
    parser.add_argument("--out", type=Path, default=Path("sample_data"), help="folder (default: %(default)s)")
    out = parser.parse_args().out
    scores: dict[str, list[float]] = {}
    for name in all_samples():
        sample = draw_sample(name)
        write_sample(sample, out, name)
        if name.startswith("nuclei/"):
            scores.setdefault(name.rstrip("0123456789"), []).append(otsu_f1(sample.image, sample.mask))
    write_classes(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB")
    for group, values in sorted(scores.items()):
        print(f"Otsu F1, {group}: {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f}, n={len(values)})")
    for part in ("nuclei/", "nuclei/train/", "nuclei/test/"):
        mean = np.mean([value for group, values in scores.items() if group.startswith(part) for value in values])
        print(f"Otsu F1, mean of {part}: {mean:.2f}")


if __name__ == "__main__":
    main()

"""Draw the README's picture from what `make demo` left in demo/: one image of each kind."""

from __future__ import annotations

from pathlib import Path

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.tiff import read_image
from napari_attnseg.prediction.figures import Example, draw_overlays
from napari_attnseg.training.evaluation import score_image

NAMES = ("fluorescence01", "brightfield06", "stained03")
TEST, DEMO, OUT = Path("sample_data/nuclei/test"), Path("demo/predictions"), Path("docs/images/overlays.png")


def main() -> None:
    """Write docs/images/overlays.png."""
    binary = MaskConvention("binary", {0: 0, 255: 1}, ("background", "nucleus"))
    examples = []
    for name in NAMES:
        image = read_image(TEST / f"{name}.tiff")
        truth = read_mask(TEST / f"{name}_MASK.tiff", binary, image.info)
        found = read_mask(DEMO / f"{name}_PRED.tiff", binary, image.info)
        shown = (image.pixels[0] / image.pixels[0].max()).astype("float32")
        examples.append(Example(name, shown, truth[0], found[0], score_image(name, truth, found, 2).scores.f1))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    draw_overlays(OUT, examples, "After one minute of training (green: annotated, pink: predicted)")


if __name__ == "__main__":
    main()

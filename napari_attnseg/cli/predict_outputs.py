"""Which images `predict` is asked for, and where their predictions go."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_attnseg.data.pairs import OUTPUT_SUFFIXES, PREDICTION, find_pairs, output_path
from napari_attnseg.errors import DataError, SaveError


def asked_for(options: argparse.Namespace, mask_suffix: str) -> dict[Path, Path]:
    """Return all images that a command line asks for, and where the prediction of each goes; the folders are made.

    Raises
    ------
    DataError, SaveError
        There are none, or they cannot be written.
    """
    inputs = [*options.input, *(_listed(options.list) if options.list else ())]
    outputs = _outputs(_images(inputs, mask_suffix, options.base), options.out)
    _require_no_annotation(outputs, mask_suffix)
    _make_folders({path.parent for path in outputs.values()}, options.out)
    return outputs


def _listed(path: Path) -> list[Path]:
    """Read a list of inputs.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The list {path} cannot be read ({error}); expected a text file with a path a line."
        ) from error
    return [Path(line.strip()) for line in lines if line.strip()]


def _images(inputs: list[Path], mask_suffix: str, base: Path | None) -> dict[Path, Path]:
    """Return each image with the folder that it lies below: `base`, else where it was found."""
    found: dict[Path, Path] = {}
    for source in inputs:
        below = source if source.is_dir() else source.parent
        if base is not None and source.is_relative_to(base):
            below = base
        found |= {pair.image: below for pair in find_pairs(source, mask_suffix).pairs}
    if not found:
        raise DataError(
            f"There are no TIFF images in {', '.join(map(str, inputs))}."
            if inputs
            else "There is nothing to predict; name TIFF images or folders, or give a list with --list."
        )
    return found


def _outputs(images: dict[Path, Path], out: Path) -> dict[Path, Path]:
    """Return where each prediction goes: below `out` as the image lies below the folder that was given.

    Raises
    ------
    DataError
        Two images would write the same file.
    """
    taken: dict[Path, Path] = {}
    outputs = {}
    for image, below in images.items():
        path = output_path(image, PREDICTION, out / image.parent.relative_to(below))
        if path in taken:
            raise DataError(
                f"{taken[path]} and {image} would both be written to {path}; predict them into two folders."
            )
        taken[path] = image
        outputs[image] = path
    return outputs


def _require_no_annotation(outputs: dict[Path, Path], mask_suffix: str) -> None:
    """Refuse to write what would be, or replace, a mask where masks are named as predictions are.

    Raises
    ------
    DataError
        A prediction would replace a mask, or be taken for one.
    """
    suffix = mask_suffix.upper()
    if suffix not in OUTPUT_SUFFIXES:
        return
    for image, path in outputs.items():
        beside = path.parent.resolve() == image.parent.resolve()
        if beside or output_path(image, suffix, path.parent).exists():
            raise DataError(
                f"The masks of this model's images end in {mask_suffix}, as predictions do, so what is written to "
                f"{path.parent} could replace a mask; choose a new folder with --out."
            )


def _make_folders(folders: set[Path], out: Path) -> None:
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {out} cannot be made ({error.strerror}).") from error

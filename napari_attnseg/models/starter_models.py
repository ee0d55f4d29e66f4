"""The models that come with the program, by name, and what a model is called on a command line: a name or a file.

They are only ever read, from the folder `starters` beside this module, which `scripts/make_starter_model.py` fills.
Where the program runs from an archive there is no such folder, and no model comes with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from napari_attnseg.errors import ModelFileError
from napari_attnseg.models.model_card import load_card

FOLDER = Path(__file__).resolve().parent / "starters"
SUFFIX = ".safetensors"


class StarterModel(NamedTuple):
    """A model that comes with the program."""

    name: str
    """What it goes by, such as 'nuclei'."""
    path: Path
    title: str
    """What it finds, in a few words; '' if its card cannot be read, which whoever uses it is told."""


def starter_models() -> tuple[StarterModel, ...]:
    """Return the models that come with the program, in alphabetical order."""
    return tuple(StarterModel(path.stem, path, _title(path)) for path in _files())


def model_path(text: str | Path) -> Path:
    """Return the model file that is meant by a name or a path.

    A file that is there goes before a model of that name that comes with the program, and a folder does not.

    Parameters
    ----------
    text
        The name of one of `starter_models`, or the path of a model file. What looks like a path is returned as it is,
        whether there is a file or not.

    Raises
    ------
    ModelFileError
        It is a single word, no file, and no model of that name comes with the program.
    """
    path = Path(text)
    if path.is_file():
        return path
    built_in = {file.stem: file for file in _files()}
    if str(text) in built_in:
        return built_in[str(text)]
    if str(path) == path.name and not path.suffix:
        known = ", ".join(built_in) or "none is there"
        raise ModelFileError(
            f"There is no model '{text}': it is neither a file nor one of the models that come with the program "
            f"({known}); give a name or the path of a .safetensors file."
        )
    return path


def is_starter(path: Path) -> bool:
    """Whether a file is one of the models that come with the program."""
    return path.is_file() and any(file.samefile(path) for file in _files())


def starter_of(path: Path) -> Path | None:
    """Return the model that comes with this program in place of one that came with another installation of it.

    A folder of images remembers where its model is; what came with a program that was updated, or is installed on
    another computer, is then elsewhere. None for any other path.
    """
    if path.parts[-3:-1] != FOLDER.parts[-2:]:
        return None
    return next((file for file in _files() if file.name == path.name), None)


def _files() -> list[Path]:
    return sorted(FOLDER.glob(f"*{SUFFIX}"))


def _title(path: Path) -> str:
    try:
        about = load_card(path).about
    except ModelFileError:
        return ""
    return about.title if about is not None else ""

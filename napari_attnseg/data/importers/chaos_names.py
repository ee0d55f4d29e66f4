"""What the files of a CHAOS import are called: `chaos_<subject>[_<sequence>]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from napari_attnseg.data.importers.item import Form
from napari_attnseg.data.importers.listing import stem

Modality = Literal["t2spir", "t1in", "t1out", "ct"]
GROUP_PATTERN = "^chaos_([^_]+)_"
"""By which a training holds whole subjects out."""
# words of a name whose digits are no subject's
_SEQUENCE = re.compile(r"(?<![^\W_])t[12](?:w|spir|dual)?[-_ ]?(?:(?:in|out)(?:phase)?)?(?![^\W_])", re.IGNORECASE)
_CHANNEL = re.compile(r"_\d{4}$")


def subject_text(text: str) -> str:
    """Write a subject as in the names of files: two digits, or letters without underscores."""
    return f"{int(text):02d}" if text.isdecimal() else re.sub("[_/]", "-", text)


def subjects_of(images: Sequence[Path], root: Path) -> list[str]:
    """Say of whom each NIfTI image is.

    A subject is the last number of a name, neither a sequence (T1, T2SPIR, ...) nor nnU-Net's channel (_0000). Where
    that is missing from some name or the same in two, the whole names are subjects, then the paths below `root`. Of one
    subject's images that differ in the sequence, each has it behind the subject: `10_t1` and `10_t2spir`.
    """
    has_channels = any(stem(path).endswith("_0000") for path in images)

    def number(path: Path) -> str:
        found = re.findall(r"\d+", _SEQUENCE.sub(" ", _CHANNEL.sub("", stem(path)) if has_channels else stem(path)))
        return subject_text(found[-1]) if found else ""

    def number_and_sequence(path: Path) -> str:
        return _with_sequence(number(path), stem(path)) if number(path) else ""

    def whole_name(path: Path) -> str:
        return _with_sequence(_without_sequence(stem(path)), stem(path))

    def whole_path(path: Path) -> str:
        text = (path.relative_to(root).parent / stem(path)).as_posix()
        return _with_sequence(_without_sequence(text), text)

    ways: tuple[Callable[[Path], str], ...] = (number, number_and_sequence, whole_name)
    for way in ways:
        subjects = [way(path) for path in images]
        if all(subjects) and len({subject.casefold() for subject in subjects}) == len(subjects):
            return subjects
    return [whole_path(path) for path in images]


def _without_sequence(text: str) -> str:
    """Return the words of a name, or of a path, that are no sequence; '' if all are."""
    return subject_text(re.sub("/+", "/", _SEQUENCE.sub("", text)).strip("-_ /"))


def _with_sequence(subject: str, text: str) -> str:
    """Write the sequences of a name behind the subject, or alone."""
    found = [re.sub("[-_ ]", "", part.lower()) for part in _SEQUENCE.findall(text)]
    return "_".join([subject, *found] if subject else found)


def name_of(subject: str, sequence: Modality) -> str:
    """Return what the names of a volume's files begin with."""
    return f"chaos_{subject}" if sequence == "t2spir" else f"chaos_{subject}_{sequence}"


def file_of(name: str, form: Form) -> str:
    """Return the name of an `Item`."""
    return f"{name}_stack.tiff" if form == "stacks" else name

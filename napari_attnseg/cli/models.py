"""`napari-attnseg models`: the networks that can be trained, with their size and cost."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.data.pairs import extension_of
from napari_attnseg.errors import SaveError, SettingsError
from napari_attnseg.settings import HALF_WIDTHS, ModelSettings, make, option_name
from napari_attnseg.wording import counted

_LARGEST = {"size": 16384, "channels": 64, "classes": 254}
_WIDTH = 120  # of the table where there is no terminal
_HEADER = ("Model", "Parameters, M", "Multiply-adds, G", "Attention maps", "What it is, and after whom")


@dataclass(frozen=True)
class _Row:
    """A preset with what it costs, or with why it cannot be built with these settings."""

    name: str
    about: str
    after: str
    has_attention: bool
    parameters: int | None = None
    multiply_adds: int | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "attention": self.has_attention,
            "about": self.about,
            "after": self.after,
            "problem": self.problem or None,
        }

    def cells(self) -> tuple[str, ...]:
        parameters, multiply_adds = _figure(self.parameters, 1e6), _figure(self.multiply_adds, 1e9)
        about = f"{self.about} ({self.after})"
        return self.name, parameters, multiply_adds, "yes" if self.has_attention else "no", about


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "models",
        help="list the networks, with their size and cost",
        description="List the networks that `train --model NAME` knows: their parameters in millions (M), and the\n"
        "multiply-adds of their convolutions for one image in thousand millions (G).",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--size", type=int, default=256, metavar="N", help="side of the image in pixels (default 256)")
    parser.add_argument("--channels", type=int, default=1, metavar="N", help="channels of the image (default 1)")
    parser.add_argument(
        "--classes", type=int, default=1, metavar="N", help="classes that are told from the background (default 1)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    add_settings(parser, ModelSettings, "network", without=("name", "dropout", "encoder_weights"))
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    for name, largest in _LARGEST.items():
        if not 1 <= getattr(options, name) <= largest:
            raise SettingsError(f"--{name} must be from 1 to {largest}, and not {getattr(options, name)}.")
    if options.json and (extension_of(options.json) or options.json.suffix.lower() == ".safetensors"):
        raise SaveError(f"The table is text and would replace {options.json}; name another file, such as models.json.")
    given = given_settings(options)
    values = {
        name: given[key]
        for name, info in ModelSettings.model_fields.items()
        if (key := option_name(name, info)) in given
    }
    planes = 1 if options.classes == 1 else options.classes + 1  # with several classes the background has a plane too
    rows = _rows(values | {"in_channels": options.channels, "classes": planes}, options.size)
    if options.json:
        from napari_attnseg.data.atomic import write_json

        image = {name: getattr(options, name) for name in _LARGEST}
        write_json(options.json, image | {"settings": values, "models": [row.to_json() for row in rows]})
    _print(rows, f"One image of {options.size} x {options.size} pixels", options.channels, options.classes)
    if "widths" not in values:
        half = " ".join(map(str, HALF_WIDTHS))
        print(f"On a CPU a training halves the widths, as --widths {half} shows here.")
    return 0


def _rows(values: dict[str, Any], size: int) -> list[_Row]:
    """Return a row for each preset.

    Raises
    ------
    SettingsError
        None of them can be built with these settings.
    """
    from napari_attnseg.models.cost import cost_of  # torch takes seconds to import
    from napari_attnseg.models.presets import PRESETS

    rows = []
    for name, parts in PRESETS.items():
        shown = (name, parts.about, parts.after, parts.gates)
        try:
            cost = cost_of(make(ModelSettings, {"name": name, **values}), size)
        except SettingsError as error:
            rows.append(_Row(*shown, problem=str(error)))
        else:
            rows.append(_Row(*shown, cost.parameters, cost.multiply_adds))
    if all(row.problem for row in rows):
        raise SettingsError(rows[0].problem)
    return rows


def _figure(count: int | None, unit: float) -> str:
    """Return a count in its unit, with more digits where two would leave nothing; '-' if it is not known."""
    if count is None:
        return "-"
    value = count / unit
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _print(rows: list[_Row], image: str, channels: int, classes: int) -> None:
    print(f"{image}, {counted(channels, 'channel')}, {classes} class{'es' * (classes != 1)}")
    table = [_HEADER, *(row.cells() for row in rows)]
    name, parameters, multiply_adds, maps, _ = (max(map(len, column)) for column in zip(*table, strict=True))
    across = shutil.get_terminal_size((_WIDTH, 0)).columns
    for first, second, third, fourth, about in table:
        start = f"{first:<{name}}  {second:>{parameters}}  {third:>{multiply_adds}}  {fourth:<{maps}}  "
        about_width = max(across - len(start), 30)
        print(start + f"\n{' ' * len(start)}".join(textwrap.wrap(about, about_width, break_on_hyphens=False)))
    for row in rows:
        if row.problem:
            print(f"{row.name}: {row.problem}")

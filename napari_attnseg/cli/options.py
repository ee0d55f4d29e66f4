"""Command-line options made from settings, and settings made from options."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_attnseg.settings.declared import LIMITS, extra, inner_type, limits, option_name

Commands = argparse._SubParsersAction  # the only name that argparse has for it


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with room for the names of options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=110)


def add_settings(
    parser: argparse.ArgumentParser, kind: type[BaseModel], title: str, *, without: Sequence[str] = ()
) -> None:
    """Add an option for each setting of `kind`, with its limits, unit and default in the help."""
    group = parser.add_argument_group(title)
    for name, info in kind.model_fields.items():
        if name in without or extra(info).get("derived"):
            continue
        option = option_name(name, info)
        keywords: dict[str, Any] = {"dest": f"setting_{option}", "default": None, "help": _help(info)}
        inner = inner_type(info.annotation)
        choices = typing.get_args(inner) if typing.get_origin(inner) is typing.Literal else ()
        if inner is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif choices:
            keywords |= {"choices": choices, "metavar": "NAME", "help": f"{_help(info, choices)}"}
        elif typing.get_origin(inner) is tuple:
            keywords |= {"nargs": "+", "type": int, "metavar": "N"}
        else:
            keywords |= {"type": _parser_of(inner), "metavar": _metavar(inner)}
        group.add_argument(f"--{option.replace('_', '-')}", **keywords)


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given on the command line, by option name."""
    prefix = "setting_"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix) and value is not None
    }


def _parser_of(kind: Any) -> Any:
    return kind if kind in (int, float, Path) else str


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


def _help(info: FieldInfo, choices: Sequence[str] = ()) -> str:
    text = (info.description or "").replace("%", "%%")
    notes = []
    if choices:
        notes.append(f"one of {', '.join(choices)}")
    if limits(info):
        notes.append(_limits(info))
    unit = extra(info).get("unit")
    default = info.get_default()
    if default is not None:
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else shown
        notes.append(f"default {shown}{f' {unit}' if unit else ''}".replace("%", "%%"))
    elif unit:
        notes.append(f"in {unit}")
    return f"{text} ({'; '.join(notes)})" if notes else text


def _limits(info: FieldInfo) -> str:
    found = limits(info)
    return ", ".join(f"{word} {found[name]:g}" for name, word in LIMITS.items() if name in found)

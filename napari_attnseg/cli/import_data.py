"""`napari-attnseg import`: data sets in the layouts of others to pairs of TIFF images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.cli.options import Commands, HelpFormatter
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.data.importers.destination import REPORT, Job, before_in, require_free
from napari_attnseg.events import EventHandler
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.data.importers.convert import Outcome
    from napari_attnseg.data.importers.item import Plan

_MOST_SHOWN = 5
_SHARED = ("layout", "source", "destination", "overwrite", "command")
_LAYOUTS = {
    "dsb2018": "nuclei of the 2018 Data Science Bowl: <id>/images/<id>.png and a PNG a nucleus in <id>/masks",
    "lgg": "brain MRI from Kaggle: kaggle_3m/<patient>/<patient>_<n>.tif and ..._mask.tif",
    "chaos": "abdominal MRI and CT of CHAOS: DICOM slices with PNG masks, or NIfTI volumes image_<n>, label_<n>",
    "folder": "any folder of PNG, JPEG, BMP, TIFF or NIfTI images with masks named by a pattern",
}


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "import",
        help="convert a data set of another layout to pairs of TIFF images",
        description="Convert a data set to images and masks (..._MASK) as TIFF, in a new folder; originals stay as "
        "they are. Repeat an interrupted import to go on with it.",
        formatter_class=HelpFormatter,
    )
    layouts = parser.add_subparsers(title="layouts", metavar="LAYOUT", dest="layout", required=True)
    for name, what in _LAYOUTS.items():
        layout = layouts.add_parser(name, help=what, description=f"Import {what}.", formatter_class=HelpFormatter)
        layout.add_argument("source", type=Path, metavar="SOURCE", help="the folder of the data set, unpacked")
        layout.add_argument("destination", type=Path, metavar="DESTINATION", help="a new or empty folder")
        layout.add_argument(
            "--overwrite",
            action="store_true",
            help="convert again what the same import has written there; masks corrected since are replaced",
        )
        _add_options(name, layout)
        layout.set_defaults(command=run)


def _add_options(layout: str, parser: argparse.ArgumentParser) -> None:
    if layout == "dsb2018":
        parser.add_argument(
            "--masks",
            choices=("binary", "instances"),
            default="binary",
            help="nuclei as 255, or numbered one by one (default binary)",
        )
    if layout in ("chaos", "folder"):
        parser.add_argument(
            "--as",
            dest="form",
            choices=("slices", "stacks"),
            default="stacks",
            help="volumes and Z stacks as one file each, or as one file a slice (default stacks)",
        )
        parser.add_argument("--volume", type=_whole, metavar="N", help="which volume of a 4-D NIfTI, counted from 0")
    if layout == "chaos":
        parser.add_argument(
            "--sequence",
            choices=("t2spir", "t1in", "t1out", "ct"),
            help="which series (default t2spir, or what there is); NIfTI files do not say it, so name ct for CT",
        )
    if layout == "folder":
        _add_folder_options(parser)


def _add_folder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", metavar="GLOB", help="which files are images, such as 'raw/*.png' (default all that are no masks)"
    )
    parser.add_argument(
        "--masks",
        metavar="PATTERN",
        help="the mask of an image, such as '{name}_seg.png' or '../labels/{name}.*', from the image's folder or from "
        "SOURCE on (default: the usual names are tried)",
    )
    parser.add_argument(
        "--mask-values",
        choices=("auto", "binary", "classes", "instances"),
        default="auto",
        help="what the values of masks mean (default auto)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="make masks of greys: foreground is above X; needed for JPEG and for soft edges",
    )


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 up")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    given = {name: value for name, value in vars(options).items() if name not in _SHARED}
    job = Job(options.layout, options.source, given)
    require_free(options.destination, job)
    from napari_attnseg.data.importers.convert import convert

    with stop_on_interrupt() as interrupt:
        with shown("Looking") as on_event:
            plan = _plan(options, on_event, interrupt)
        for notice in plan.notices:
            print(notice)
        print(f"Importing {options.source} ({len(plan.items)} found) to {options.destination}.", flush=True)
        with shown("Importing") as on_event:
            outcome = convert(
                plan, options.destination, job, overwrite=options.overwrite, on_event=on_event, should_stop=interrupt
            )
    return _tell(outcome, plan, options.destination)


def _plan(options: argparse.Namespace, on_event: EventHandler, should_stop: Callable[[], bool]) -> Plan:
    before = before_in(options.destination)
    if options.overwrite:
        before = before.forgotten()
    if options.layout == "dsb2018":
        from napari_attnseg.data.importers import dsb2018

        return dsb2018.find(options.source, masks=options.masks)
    if options.layout == "lgg":
        from napari_attnseg.data.importers import lgg

        return lgg.find(options.source)
    if options.layout == "chaos":
        from napari_attnseg.data.importers import chaos

        return chaos.find(
            options.source,
            form=options.form,
            sequence=options.sequence,
            volume=options.volume,
            before=before,
            on_event=on_event,
            should_stop=should_stop,
        )
    from napari_attnseg.data.importers import folder

    how = folder.Options(
        options.images, options.masks, options.mask_values, options.threshold, options.form, options.volume
    )
    return folder.find(options.source, how, before=before, on_event=on_event, should_stop=should_stop)


def _tell(outcome: Outcome, plan: Plan, destination: Path) -> int:
    """Print what became of the files and return the exit code."""
    new = outcome.count("converted", "not annotated")
    lines = [f"Converted {counted(new, 'image')}, {outcome.count('converted')} with a mask"]
    lines += [f"{count} there already"] if (count := outcome.count("there already")) else []
    lines += [f"{count} left out"] if (count := outcome.count("left out")) else []
    print(f"{'; '.join(lines)}.")
    notes = [row for row in outcome.rows if row.files and row.note and row.note not in plan.notices]
    for row in notes[:_MOST_SHOWN]:
        print(f"  {row.result:<13} {row.file or row.image}: {row.note}")
    if len(notes) > _MOST_SHOWN:
        print(f"  and {len(notes) - _MOST_SHOWN} more notes.")
    print(f"All files are listed in {destination / REPORT}.")
    if outcome.stopped:
        print("Stopped before the end; repeat the command to go on.", file=sys.stderr)
        return 130
    if not outcome.count("converted", "not annotated", "there already"):
        print("napari-attnseg: nothing could be converted; the reasons are listed above.", file=sys.stderr)
        return 1
    for advice in plan.advice:
        print(f"When you train on it, add: {advice}")
    return 0

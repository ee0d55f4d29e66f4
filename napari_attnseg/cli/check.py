"""`napari-attnseg check`: what is wrong or surprising in a folder, before anything is trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.settings import DataSettings, make


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check",
        help="check a folder of images and masks",
        description="List every finding in a folder of images and masks; exit 0 when training could start, else 1.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of pairs, or one TIFF")
    wanted = ("mask_suffix", "axes", "mask_values", "channels", "group_pattern")
    add_settings(
        parser, DataSettings, "data", without=[name for name in DataSettings.model_fields if name not in wanted]
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = make(DataSettings, given_settings(options))
    from napari_attnseg.data.check import check

    with stop_on_interrupt() as interrupt, shown("Checking") as on_event:
        report = check(options.data, settings, on_event=on_event, should_stop=interrupt)
    if interrupt.requested:
        return 130
    for line in report.summary:
        print(line)
    for finding in report.findings:
        print(f"{finding.severity:<8} {finding.message}")
    print("Training can start." if report.ok else "Training cannot start before the errors are mended.")
    return 0 if report.ok else 1

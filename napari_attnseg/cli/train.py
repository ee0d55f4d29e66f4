"""`napari-attnseg train`: from a folder of pairs to a model file."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.errors import AttnSegError, RunFolderError, SaveError
from napari_attnseg.events import Cancelled, Event, EventHandler, Failed, Finished
from napari_attnseg.settings import RunSettings, make

_GROUPS = {"data": "data", "model": "model", "training": "training"}


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train a model on images with masks",
        description="Train a model on a folder of TIFF images with masks (cell01.tiff, cell01_MASK.tiff).\n"
        "The run folder gets best.safetensors (the model to use), last.safetensors, metrics.csv and curves.png.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of pairs, one TIFF, or a run's run.json")
    parser.add_argument("--run", type=Path, metavar="DIR", help="run folder to make (default runs/DATA-DATE-TIME)")
    parser.add_argument("--init", type=Path, metavar="MODEL", help="a model file to start from")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run if one has begun there")
    parser.add_argument("--events", action="store_true", help="print one JSON event a line, for programs")
    for name, kind in RunSettings.groups().items():
        add_settings(parser, kind, _GROUPS[name])
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    started = time.time() - 1
    values = given_settings(options)
    from napari_attnseg import engine  # torch takes seconds to import

    source, folder, resume, init = options.data, options.run, options.resume, options.init
    settings = None
    if source.name == "run.json" and source.is_file():
        folder, resume = source.parent, True
        source, settings, init = _request(source, values)
    folder = Path(folder) if folder else engine.new_run_path(source)
    with stop_on_interrupt() as interrupt, shown("Training", as_events=options.events) as on_event:
        is_new = settings is not None or not (folder / "run.json").exists()
        tell = _Ending(folder, on_event, is_ours=is_new)
        try:
            result = engine.fit(
                source,
                folder,
                init=init,
                resume=resume,
                settings=settings,
                on_event=tell.pass_on,
                should_stop=_any_of(interrupt, _stop_file(folder / "stop", started)),
                **values,
            )
        except AttnSegError as error:
            tell(Failed(str(error)))
            raise
        except Exception as error:
            tell(Failed(f"An error of the program: {error!r}.", traceback.format_exc()))
            raise
        text = _closing(result)
        tell(Cancelled(text) if result.was_stopped else Finished(text, {"score": result.best_score}))
    if not options.events:
        print(text)
    return 130 if interrupt.requested else 0


def _request(path: Path, values: dict[str, Any]) -> tuple[Path, RunSettings | None, Path | None]:
    """Read a run.json that the viewer wrote as an order, or that a run left."""
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        settings = make(RunSettings, order["settings"]) if "split" not in order else None
        return Path(order["source"]), settings, Path(order["init"]) if order.get("init") else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"'{path}' is not the run.json of a run ({error!r}).") from error


class _Ending:
    """Shows the last event and notes it in the run folder, unless that belongs to a run that this process never joined.

    That one may be running: a `Failed` among its events would end it for whoever follows them.
    """

    def __init__(self, folder: Path, on_event: EventHandler, *, is_ours: bool) -> None:
        self._folder = folder
        self._on_event = on_event
        self._is_ours = is_ours

    def pass_on(self, event: Event) -> None:
        """Show an event of the trainer, which notes its events itself."""
        self._is_ours = True
        self._on_event(event)

    def __call__(self, event: Event) -> None:
        """Show and note the last event."""
        self._on_event(event)
        if self._is_ours and self._folder.is_dir():
            from napari_attnseg.training.run_folder import RunFolder

            with contextlib.suppress(SaveError):  # the disk may be what went wrong
                RunFolder(self._folder).append_event(event)


def _stop_file(path: Path, started: float) -> Callable[[], bool]:
    """Return a check for the file that asks this process to stop; one from before its start is of another job."""

    def is_asked() -> bool:
        try:
            return path.stat().st_mtime >= started
        except OSError:
            return False

    return is_asked


def _any_of(*checks: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: any(check() for check in checks)


def _closing(result: Any) -> str:
    score = "" if result.best_score is None else f" Best score on held-out images: {result.best_score:.3f}."
    epochs = f"{result.epochs} epoch{'s' * (result.epochs != 1)}"
    end = f"Ended after {epochs} and {result.minutes:.1f} minutes: {result.reason}.{score}"
    if result.was_stopped:
        return f"{end}\nGo on with --run {result.folder.path} --resume."
    return f"{end}\nModel: {result.folder.best}"

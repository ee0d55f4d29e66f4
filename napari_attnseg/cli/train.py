"""`napari-attnseg train`: from a folder of pairs to a model file."""

from __future__ import annotations

import argparse
import contextlib
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_attnseg.cli.job_folder import asked_by_file
from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.errors import AttnSegError, RunFolderError
from napari_attnseg.events import Cancelled, Event, EventHandler, Failed, Finished, Progress, append_event, ignore_event
from napari_attnseg.jobs import EVENTS, PAUSE, STOP
from napari_attnseg.settings import RunSettings, make, read_recipe
from napari_attnseg.training.launch import launch
from napari_attnseg.training.run_folder import new_run_path
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.training.group import Group

_GROUPS = {"data": "data", "model": "model", "training": "training"}


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train a model on images with masks",
        description="Train a model on a folder of TIFF images with masks (cell01.tiff, cell01_MASK.tiff).\n"
        "The run folder gets best.safetensors (the model to use), last.safetensors, metrics.csv and curves.png.\n"
        "On several GPUs: torchrun --nproc-per-node N -m napari_attnseg train ...",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of pairs, one TIFF, or a run's run.json")
    parser.add_argument(
        "--run",
        "--run-folder",  # torchrun takes --run for an option of its own
        type=Path,
        metavar="DIR",
        help="run folder to make (default runs/DATA-DATE-TIME)",
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="a model file to start from, or nuclei, which comes with the program"
    )
    parser.add_argument(
        "--focus",
        type=Path,
        nargs="+",
        default=[],
        metavar="IMAGE",
        help="images to concentrate on, such as those that were corrected; with --init, settings that are not given "
        "are those for fine-tuning",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="settings with a name (see the command recipes), of a recipe file, or of another run's run.json; options "
        "that are given besides go before them",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run if one has begun there")
    parser.add_argument("--events", action="store_true", help="print one JSON event a line, for programs")
    for name, kind in RunSettings.groups().items():
        add_settings(parser, kind, _GROUPS[name])
    parser.set_defaults(command=run)


@dataclass(frozen=True)
class _Task:
    """What is asked for, by options or by a run.json that orders a training."""

    source: Path
    folder: Path
    init: Path | None
    focus: tuple[Path, ...]
    resume: bool
    settings: RunSettings | None = None

    @property
    def is_new(self) -> bool:
        """Whether the run folder is this task's own from the start."""
        return self.settings is not None or not (self.folder / "run.json").exists()


def run(options: argparse.Namespace) -> int:
    """Run the command, on its own or as one of the processes that torchrun started."""
    if not launch().is_shared:
        return _train(options)
    from napari_attnseg.cli.train_together import train_together

    return train_together(options, _train)


def _train(options: argparse.Namespace, group: Group | None = None) -> int:
    """Train; of several processes only the first one is heard of."""
    is_first = group is None or group.is_first
    values = given_settings(options)
    if options.recipe is not None:
        read_recipe(options.recipe)  # what is wrong with it is said before anything slow begins
    task = _task(options)
    tell = _Events(task.folder, is_ours=task.is_new, is_silent=not is_first)
    if task.settings is not None:
        tell.note(Progress(0.0, "starting"))  # whoever ordered this sees a sign of life at once
    from napari_attnseg import engine  # torch takes seconds to import
    from napari_attnseg.training.group import ALONE

    together = group or ALONE
    with stop_on_interrupt(is_silent=not is_first) as interrupt, _shown(options, is_first) as on_event:
        tell.show = on_event
        try:
            result = engine.fit(
                task.source,
                task.folder,
                init=task.init,
                resume=task.resume,
                focus=task.focus,
                recipe=options.recipe,
                settings=task.settings,
                on_event=tell.pass_on,
                should_stop=_any_of(interrupt, asked_by_file(task.folder / STOP)),
                should_pause=asked_by_file(task.folder / PAUSE),
                group=together,
                **values,
            )
        except AttnSegError as error:
            tell.last(Failed(str(error)))
            raise
        except Exception as error:
            tell.last(Failed(f"An error of the program: {error!r}.", traceback.format_exc()))
            raise
        text = _closing(result, together)
        tell.last((Cancelled if result.was_stopped else Finished)(text, result.to_json()))
    if not options.events and is_first:
        print(text)
    return 130 if interrupt.requested else 0


@contextlib.contextmanager
def _shown(options: argparse.Namespace, is_first: bool) -> Iterator[EventHandler]:
    """Yield what shows events: nothing but in the first of several processes."""
    if not is_first:
        yield ignore_event
        return
    with shown("Training", as_events=options.events) as on_event:
        yield on_event


def _task(options: argparse.Namespace) -> _Task:
    """Put together what is asked for.

    Raises
    ------
    RunFolderError
        DATA is a run.json that is neither an order nor a run's.
    """
    source: Path = options.data
    if not (source.name == "run.json" and source.is_file()):
        folder = options.run or new_run_path(source)
        return _Task(source, folder, options.init, tuple(options.focus), options.resume)
    try:
        order = json.loads(source.read_text(encoding="utf-8"))
        return _Task(
            Path(order["source"]),
            source.parent,
            Path(order["init"]) if order.get("init") else None,
            tuple(Path(image) for image in order.get("focus") or ()),
            True,
            make(RunSettings, order["settings"]) if "split" not in order else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"'{source}' is not the run.json of a run ({error!r}).") from error


class _Events:
    """Shows events, and notes in the run folder those that the trainer does not note itself: the first and the last.

    Nothing is noted in a run that this process never joined. It may be running: a `Failed` among its events would end
    it for whoever follows them.
    """

    def __init__(self, folder: Path, *, is_ours: bool, is_silent: bool = False) -> None:
        self._folder = folder
        self._is_silent = is_silent
        self._is_ours = is_ours
        self.show: EventHandler = ignore_event

    def pass_on(self, event: Event) -> None:
        """Show an event of the trainer."""
        self._is_ours = True
        self.show(event)

    def last(self, event: Event) -> None:
        """Show and note the last event."""
        if not self._is_silent:
            self.show(event)
        self.note(event)

    def note(self, event: Event) -> None:
        """Write an event to the run folder, if there is one yet."""
        if self._is_ours and not self._is_silent and self._folder.is_dir():
            with contextlib.suppress(OSError):  # the disk may be what went wrong
                append_event(self._folder / EVENTS, event)


def _any_of(*checks: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: any(check() for check in checks)


def _closing(result: Any, group: Group) -> str:
    score = "" if result.best_score is None else f" Best score on held-out images: {result.best_score:.3f}."
    epochs = counted(result.epochs, "epoch")
    if result.start_score is not None:
        gain = "" if result.improved else ", which nothing learnt since is better than"
        score += f" The starting model's: {result.start_score:.3f}{gain}."
    end = f"Ended after {epochs} and {result.minutes:.1f} minutes: {result.reason}.{score}"
    if result.waiting is not None:
        end += f" Waited for images {result.waiting:.1%} of the time."
    if result.was_stopped:
        return f"{end}\nGo on with {group.run_option} {result.folder.path} --resume."
    return f"{end}\nModel: {result.folder.best}"

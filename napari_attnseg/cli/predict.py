"""`napari-attnseg predict`: a model file applied to images."""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.cli.job_folder import asked_by_file, noted
from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.predict_outputs import Order, order_of
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.cli.scheduler import add_scheduler
from napari_attnseg.errors import AttnSegError, DataError, GapsError, Stopped
from napari_attnseg.events import Cancelled, EventHandler, Failed, Finished, Notice, Progress, Started
from napari_attnseg.jobs import STOP
from napari_attnseg.models.model_card import load_card
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.prediction.outcome import Outcome
from napari_attnseg.settings import PredictionSettings, make
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.prediction.finishing import LargeProgress


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="predict masks with a model",
        description="Write a predicted mask NAME_PRED.tiff for each image, by the conventions of its training masks.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="a model file, such as a run's best.safetensors, or nuclei, which comes with the program",
    )
    # not "*", which is taken to be empty where an option stands between MODEL and INPUT
    inputs = parser.add_argument(
        "input", type=Path, nargs="+", default=[], metavar="INPUT", help="TIFF images and folders of them"
    )
    listed = parser.add_argument(
        "--list",
        type=Path,
        action=_ListOfInputs,
        metavar="FILE",
        help="a text file that names inputs, one a line; no INPUT is needed then",
    )
    assert isinstance(listed, _ListOfInputs)
    listed.inputs = inputs
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made if missing")
    parser.add_argument(
        "--base", type=Path, metavar="DIR", help="lay out what is written as the images lie below this folder"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="predict all images anew, also those that were predicted before with this model and these settings, which "
        "are kept otherwise",
    )
    parser.add_argument("--job", type=Path, metavar="DIR", help="note events in DIR/events.jsonl, for programs")
    parser.add_argument("--events", action="store_true", help="print one JSON event a line, for programs")
    add_settings(parser, PredictionSettings, "prediction")
    add_scheduler(parser)
    parser.set_defaults(command=run)


class _ListOfInputs(argparse.Action):
    """An option that names inputs in the place of the positional ones."""

    inputs: argparse.Action

    def __call__(self, parser: object, namespace: argparse.Namespace, values: object, option: object = None) -> None:
        setattr(namespace, self.dest, values)
        self.inputs.required = False


def run(options: argparse.Namespace) -> int:
    """Run the command; an image that fails is named and the others go on."""
    settings = make(PredictionSettings, given_settings(options))
    with (
        stop_on_interrupt() as interrupt,
        shown("Predicting", as_events=options.events) as shows,
        noted(options.job, shows) as on_event,
    ):
        asked = asked_by_file(options.job / STOP) if options.job else lambda: False
        try:
            predict = _predict if options.scheduler is None else _predict_on_cluster
            outcome = predict(options, settings, on_event, lambda: interrupt() or asked())
        except Exception as error:
            known = isinstance(error, AttnSegError)
            on_event(Failed(str(error) if known else f"An error of the program: {error!r}.", traceback.format_exc()))
            raise
        if interrupt.requested or asked():
            text = f"Stopped; what was predicted so far is in {options.out}."
            on_event(Cancelled(text))
        else:
            text = _ending(outcome, options.out)
            results = {"images": outcome.written, "kept": outcome.kept}
            on_event(Finished(text, {**results, "failed": outcome.failed, "gaps": outcome.gaps}))
    if not options.events and (interrupt.requested or not outcome.failed):
        print(text)
    if interrupt.requested:
        return 130
    _require_whole(outcome)
    return 0


def _ending(outcome: Outcome, out: Path) -> str:
    """Say what was done."""
    kept = f" and kept {counted(outcome.kept, 'earlier one')}" if outcome.kept else ""
    with_gaps = f", {len(outcome.gaps)} of them with gaps" if outcome.gaps else ""
    return f"Wrote {counted(outcome.written, 'prediction')} to {out}{kept}{with_gaps}."


def _require_whole(outcome: Outcome) -> None:
    """Say in the end which images are not predicted, or only in parts.

    Raises
    ------
    AttnSegError
        There are some.
    """
    if outcome.failed:
        count = f"{len(outcome.failed)} of {counted(outcome.asked, 'image')}"
        raise AttnSegError(f"{count} could not be predicted: {outcome.failed[0]}")
    if outcome.gaps:
        count = f"{len(outcome.gaps)} of {counted(outcome.there, 'image')}"
        raise AttnSegError(f"{count} could be predicted only in parts: {outcome.gaps[0]}")


def _predict(
    options: argparse.Namespace,
    settings: PredictionSettings,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Predict all images, and note those that cannot be."""
    model = model_path(options.model)
    from napari_attnseg.prediction.origin import digest_of
    from napari_attnseg.prediction.predictor import Predictor  # torch takes seconds to import
    from napari_attnseg.prediction.to_files import predict_many_to_files

    def tell(text: str) -> None:
        on_event(Notice(text))

    load_card(model)  # says what is wrong with the file, if anything is
    digest = digest_of(model)  # before it is loaded: a training may put a better one in its place meanwhile
    predictor = Predictor(model, settings)
    predictor.compute.half.tell = tell
    order = order_of(options, model, predictor.card, settings, digest, should_stop)
    on_event(Started(f"Predict {counted(order.count, 'image')} with {options.model}", predictor.compute.description))
    if settings.attention and not predictor.has_attention:
        on_event(Notice(f"{options.model.name} is a {predictor.card.model.name}, which has no attention gates."))
    outcome, grey = order.begin(on_event, should_stop), 0
    folders = {image: path.parent for image, path in order.left.items()}
    report = _reporter(order, on_event)
    try:
        for one in predict_many_to_files(predictor, folders, report, should_stop, on_notice=tell, digest=order.digest):
            if one.error is None or isinstance(one.error, GapsError):
                outcome.written += 1
                grey += predictor.data.channels == "rgb" and _is_grey(one.item, predictor.data.axes)
            if one.error is not None:
                sentences = outcome.gaps if isinstance(one.error, GapsError) else outcome.failed
                sentences.append(str(one.error) or f"{one.item.name} is too large for this computer's memory.")
                tell(sentences[-1])
    except Stopped:
        pass
    if grey:
        on_event(Notice(f"{counted(grey, 'grey image')} went into the network as RGB with three equal channels."))
    return outcome


def _is_grey(image: Path, axes: str | None) -> bool:
    from napari_attnseg.data.tiff import read_info

    try:
        return read_info(image, axes).channels == 1
    except DataError:  # it has gone since it was predicted
        return False


def _reporter(order: Order, on_event: EventHandler) -> Callable[[Path, int, float, LargeProgress | None], None]:
    """Return what tells of the progress: the image and its number, the share of it that is done, and more if large."""
    count, kept = order.count, len(order.kept)
    began, origin, large_image = time.monotonic(), kept / count, None

    def report(image: Path, number: int, share: float, large: LargeProgress | None) -> None:
        nonlocal began, origin, large_image
        done = (kept + number + share) / count
        if large and large.stage == "rows" and large_image != image:  # which may go on from a row far down
            began, origin, large_image = time.monotonic(), done, image
        left = (time.monotonic() - began) * (1 - done) / (done - origin) if done > origin else None
        message = f"{kept + number + 1} of {count}, {image.name}{f', {large.text}' if large else ''}"
        on_event(Progress(done, message, seconds_left=left, details=large.details() if large else {}))

    return report


def _predict_on_cluster(
    options: argparse.Namespace,
    settings: PredictionSettings,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Have the workers of a cluster predict all images; see `_predict`."""
    model = model_path(options.model)
    from napari_attnseg.prediction.origin import digest_of

    load_card(model)  # as above
    digest = digest_of(model)
    order = order_of(options, model, load_card(model), settings, digest, should_stop)
    if not order.left:
        return order.begin(on_event, should_stop)
    from napari_attnseg.cluster.connection import connected

    try:
        with connected(options.scheduler, options.scheduler_timeout, should_stop) as client:
            from napari_attnseg.cluster.predicting import predict_images

            outcome = order.begin(on_event, should_stop)
            return predict_images(client, model, settings, order.left, on_event, should_stop, outcome, order.digest)
    except Stopped:
        return Outcome()

"""What `napari-attnseg objects` has to do: an image at a time, from masks and predictions or by a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.file_state import unchanged
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pairs import PREDICTION, PROBABILITY, find_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, SettingsError
from napari_attnseg.events import EventHandler, Notice
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.settings import DataSettings, ObjectSettings, PredictionSettings
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.objects.one_image import Result
    from napari_attnseg.objects.sources import Source
    from napari_attnseg.prediction.predictor import Predictor

OnProgress = Callable[[float], None]


@dataclass(frozen=True)
class Work:
    """An image to be done, and where its objects go."""

    name: str
    path: Path
    do: Callable[[OnProgress, Callable[[], bool]], Result]


def work_on_masks(
    options: argparse.Namespace, settings: ObjectSettings, data: DataSettings, out: Path, on_event: EventHandler
) -> list[Work]:
    """Return the work on masks or predictions.

    Raises
    ------
    DataError
        There is nothing to work on, or what would be written is in the way of something.
    SettingsError
        A threshold would have no effect on any image.
    """
    from napari_attnseg.data.classes import find_classes
    from napari_attnseg.objects.one_image import objects_of_source, objects_path
    from napari_attnseg.objects.reading import convention_of
    from napari_attnseg.objects.sources import find_sources, label_stem
    from napari_attnseg.prediction.gaps import gaps_of

    sources, notices = find_sources(options.data, options.take, images=options.images, mask_suffix=data.mask_suffix)
    for notice in notices:
        on_event(Notice(notice))
    predicted = label_stem(sources[0].labels).upper().endswith("_PRED")
    for source in sources if predicted else ():
        if gaps := gaps_of(source.labels):
            on_event(Notice(
                f"{source.labels.name} has {counted(len(gaps), 'gap')}, where the image could not be decoded: no "
                "objects are found there, and the area counts as empty in densities."
            ))  # fmt: skip
    folders = [options.images, sources[0].image.parent if sources[0].image else None, sources[0].labels.parent]
    classes = next((found for folder in folders if folder and (found := find_classes(folder))), None)
    convention = convention_of([one.labels for one in sources], classes, data.mask_values, predicted=predicted)
    _require_threshold_counts(settings, convention, any(one.probability for one in sources))
    if convention.kind == "instances":
        on_event(Notice("These masks number their objects already; they are measured as they are."))

    def do(source: Source, on_progress: OnProgress, should_stop: Callable[[], bool]) -> Result:
        return objects_of_source(
            source, convention, settings, axes=data.axes, on_progress=on_progress, should_stop=should_stop
        )

    work = []
    for source in sources:
        path = objects_path(source.name, source.labels, out / _below(source.labels, options.data))
        work.append(Work(source.labels.name, path, partial(do, source)))
    _require_free(work, [path for one in sources for path in (one.labels, one.image) if path is not None])
    return work


def predicted_work(
    options: argparse.Namespace, settings: ObjectSettings, values: PredictionSettings, out: Path, on_event: EventHandler
) -> list[Work]:
    """Return the work on images that a model is applied to.

    Raises
    ------
    AttnSegError
        The model cannot be used, or there is no image.
    """
    model = model_path(options.model)
    from napari_attnseg.objects.finding import find_objects
    from napari_attnseg.objects.geometry import Geometry
    from napari_attnseg.objects.one_image import measured, objects_path
    from napari_attnseg.objects.reading import read_measured
    from napari_attnseg.objects.sources import titles
    from napari_attnseg.prediction.predictor import Predictor  # torch takes seconds to import

    predictor = Predictor(model, values)
    predictor.compute.half.tell = lambda text: on_event(Notice(text))
    _require_threshold_counts(settings, predictor.convention, True)
    names = predictor.convention.class_names

    def do(path: Path, title: str, on_progress: OnProgress, should_stop: Callable[[], bool]) -> Result:
        with unchanged(path):  # it is read twice, with minutes between
            if not _fits(predictor, read_info(path, predictor.data.axes), settings):  # asked before minutes of work
                return _tile_by_tile(predictor, path, title, settings, on_progress, should_stop)
            found = predictor.predict_file(path, lambda share: on_progress(0.8 * share), should_stop)
            geometry = Geometry.of(found.info)
            size = (found.info.height, found.info.width)
            objects = find_objects(
                found.labels,
                size,
                geometry,
                settings,
                probability=found.probability,
                name=path.name,
                on_progress=lambda share: on_progress(0.8 + 0.15 * share),
                should_stop=should_stop,
            )
            image = read_measured(path, predictor.data.axes)
            return measured(objects, geometry, found.info, settings, names, image, title, should_stop=should_stop)

    work = []
    pairs = find_pairs(options.data, predictor.data.mask_suffix).pairs
    called = titles([pair.name for pair in pairs], [pair.image for pair in pairs], options.data)
    for pair, title in zip(pairs, called, strict=True):
        path = objects_path(pair.name, pair.image, out / _below(pair.image, options.data))
        work.append(Work(pair.image.name, path, partial(do, pair.image, title)))
    if not work:
        raise DataError(f"There are no TIFF images (.tif, .tiff) in {options.data}.")
    _require_free(work, [])
    return work


def _require_threshold_counts(settings: ObjectSettings, convention: MaskConvention, has_probability: bool) -> None:
    """Refuse a threshold where there is nothing that it could act on.

    Raises
    ------
    SettingsError
        There is one, and no probability of one kind of object.
    """
    if settings.threshold is None:
        return
    if convention.n_classes > 2:
        raise SettingsError("--threshold has an effect only where there is one kind of object; leave it out here.")
    if not has_probability or convention.kind == "instances":
        raise SettingsError(
            "--threshold has an effect only on predictions with their probability (NAME_PROB.tiff) beside them; leave "
            "it out, or predict the images again with --probability."
        )


def _fits(predictor: Predictor, info: ImageInfo, settings: ObjectSettings) -> bool:
    """Whether an image fits into memory to be predicted.

    Raises
    ------
    DataError
        Finding its objects would not.
    """
    from napari_attnseg.objects.blank import require_disk
    from napari_attnseg.objects.geometry import Geometry
    from napari_attnseg.objects.room import require_room
    from napari_attnseg.prediction.from_card import channels_of
    from napari_attnseg.prediction.room import free_memory, memory_needed

    computed, kept = channels_of(predictor.card, predictor.settings)
    fits = memory_needed(info, predictor.data, computed, kept) <= free_memory()
    predicted = info.n_planes * info.height * info.width * (1 + 4 * kept) if fits else 0
    require_disk((info.n_planes, info.height, info.width))
    require_room((info.height, info.width), Geometry.of(info), settings, info.path.name, besides=predicted)
    return fits


def _tile_by_tile(
    predictor: Predictor,
    path: Path,
    title: str,
    settings: ObjectSettings,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> Result:
    """Predict an image into temporary files, and find its objects in these.

    Raises
    ------
    DataError
        See `for_now.predicted_for_now` and `one_image.objects_of_source`.
    Stopped
        `should_stop` returned True.
    """
    from napari_attnseg.objects.one_image import objects_of_source
    from napari_attnseg.objects.sources import Source
    from napari_attnseg.prediction.for_now import predicted_for_now
    from napari_attnseg.prediction.targets import target_of

    with predicted_for_now(predictor, path, lambda share: on_progress(0.8 * share), should_stop) as folder:
        labels, probability = (target_of(path, kind, folder, as_tiff=True) for kind in (PREDICTION, PROBABILITY))
        return objects_of_source(
            Source(labels, path, probability, title, title),
            predictor.convention,
            settings,
            axes=predictor.data.axes,
            on_progress=lambda share: on_progress(0.8 + 0.2 * share),
            should_stop=should_stop,
        )


def _below(file: Path, data: Path) -> Path:
    """Return the folder of a file, seen from `data`."""
    return file.parent.relative_to(data) if data in file.parents else Path()


def _require_free(work: list[Work], inputs: list[Path]) -> None:
    """Refuse to write two images' objects to one file, or over what they are made of."""
    taken: dict[str, str] = {}
    own = {str(path.resolve()).casefold() for path in inputs}
    for one in work:
        key = str(one.path.resolve()).casefold()
        if key in taken:
            raise DataError(f"{taken[key]} and {one.name} would both be written to {one.path}; do them one by one.")
        if key in own:
            raise DataError(f"{one.path} is a mask and would be replaced; choose another folder with --out.")
        taken[key] = one.name

"""A model file applied to images of any size, to stacks plane by plane."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.loading import network_input
from napari_attnseg.data.tiff import Image, ImageInfo, read_image
from napari_attnseg.errors import SettingsError
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.fold import folded
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.models.model_file import load_model
from napari_attnseg.prediction.fitting import Tiling, predict_within_memory
from napari_attnseg.prediction.from_card import convention_of, data_of, gate_names, probability_names
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.tiling import FloatArray, PlaneResult, planes_at_once
from napari_attnseg.settings import DataSettings, PredictionSettings
from napari_attnseg.settings.prediction import DEFAULT_BATCH_SIZE, DEFAULT_TILE_SIZE


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    `labels` is uint8 (plane, y, x), class ids. `probability` is float32 (plane, class, y, x) in [0, 1] and `attention`
    float32 (plane, gate, y, x) in [0, 1], deepest gate first; each is None unless it was asked for.
    """

    info: ImageInfo
    labels: NDArray[np.uint8]
    probability: FloatArray | None
    attention: FloatArray | None


@dataclass(frozen=True)
class Seen:
    """An image as the network sees it: `pixels` are float32 (plane, channel, y, x), scaled as for training."""

    info: ImageInfo
    pixels: FloatArray


class Predictor:
    """A loaded model on its device, ready for any number of images.

    Raises
    ------
    ModelFileError
        `path` is no usable model file.
    SettingsError
        The device that the settings ask for is not there, or the model cannot tell mirrored classes apart.
    """

    def __init__(self, path: Path, settings: PredictionSettings | None = None) -> None:
        self.settings = settings or PredictionSettings()
        self.path = Path(path)
        self.compute = choose_compute(self.settings.device, self.settings.precision)
        model, self.card = load_model(self.path)
        self.model = folded(model)
        self.compute.place(self.model)
        _require_turned(self.card, self.settings)
        self.tiling = Tiling(
            self.settings.tile_size or DEFAULT_TILE_SIZE,
            self.settings.overlap,
            self.settings.batch_size or DEFAULT_BATCH_SIZE,
        )
        self.data = self._data()

    def reading(self, *, axes: str | None, channels: Literal["as-is", "grey"]) -> Predictor:
        """Return a predictor that shares this one's network and reads images with other axes and channels."""
        other = copy.copy(self)
        other.settings = self.settings.model_copy(update={"axes": axes, "channels": channels})
        other.data = other._data()
        return other

    @property
    def convention(self) -> MaskConvention:
        """How predictions are written: as the masks that the model learnt from, objects not counted one by one."""
        return convention_of(self.card)

    @property
    def has_attention(self) -> bool:
        """Whether the model has attention gates."""
        return self.model.has_attention

    def predict_plane(
        self,
        plane: FloatArray,
        *,
        attention: bool,
        on_tiles: Callable[[int, int], None] = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> PlaneResult:
        """Predict one plane, float32 (channel, y, x) scaled as for training; see `predict_planes`."""
        return self.predict_planes(plane[None], attention=attention, on_tiles=on_tiles, should_stop=should_stop)[0]

    def predict_planes(
        self,
        planes: FloatArray,
        *,
        attention: bool,
        on_tiles: Callable[[int, int], None] = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[PlaneResult]:
        """Predict planes, float32 (plane, channel, y, x) scaled as for training; see `tiling.predict_planes`.

        Where the device's memory is not enough, fewer and smaller tiles are taken from then on.

        Raises
        ------
        DataError
            The memory is not even enough for a small tile.
        Stopped
            `should_stop` returned True.
        """
        return predict_within_memory(
            self.model,
            planes,
            self.compute,
            self.tiling,
            attention=attention,
            turned=self.settings.tta,
            on_tiles=on_tiles,
            should_stop=should_stop,
        )

    def predict_file(
        self,
        path: Path,
        on_progress: Callable[[float], None] = lambda share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """Read an image and predict it; see `predict_image`."""
        return self.predict_image(read_image(path, self.data.axes), on_progress, should_stop)

    def predict_image(
        self,
        image: Image,
        on_progress: Callable[[float], None] = lambda share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """Predict all planes of an image.

        Parameters
        ----------
        on_progress
            Called with the share of the image that is done, 0 to 1.
        should_stop
            Asked between tiles.

        Raises
        ------
        DataError
            The image has other channels than the model was trained on, or the device's memory is not enough.
        Stopped
            `should_stop` returned True.
        """
        return self.tidied(self.predict_together([self.see(image)], on_progress, should_stop)[0])

    def see(self, image: Image) -> Seen:
        """Return what the network sees of an image.

        Raises
        ------
        DataError
            It has other channels than the model was trained on.
        """
        return Seen(image.info, network_input(image, self.data, self.card.model.in_channels))

    def predict_together(
        self,
        images: Sequence[Seen],
        on_progress: Callable[[float], None] = lambda share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[Prediction]:
        """Predict images of one height and width, whose planes go through the network together where they are small.

        See `predict_image`; what is returned is not `tidied`.
        """
        pixels = images[0].pixels if len(images) == 1 else np.concatenate([image.pixels for image in images])
        settings = self.settings
        labels = np.empty((len(pixels), *pixels.shape[2:]), np.uint8)
        probability = self._kept(len(self.probability_names), pixels) if settings.probability else None
        attention = self._kept(len(self.gate_names), pixels) if settings.attention else None
        first = 0
        while first < len(pixels):
            planes = pixels[first : first + self.planes_at_once(pixels.shape)]

            def on_tiles(done: int, total: int, first: int = first, count: int = len(planes)) -> None:
                on_progress((first + count * done / total) / len(pixels))

            found = self.predict_planes(
                planes, attention=settings.attention, on_tiles=on_tiles, should_stop=should_stop
            )
            for number, result in enumerate(found, start=first):
                labels[number] = to_labels(result.probability, settings.threshold)
                if probability is not None:
                    probability[number] = result.probability
                if attention is not None and result.attention is not None:
                    attention[number] = result.attention
            first += len(planes)
        predictions, first = [], 0
        for image in images:
            part = slice(first, first + len(image.pixels))
            kept = (None if array is None else array[part] for array in (probability, attention))
            predictions.append(Prediction(image.info, labels[part], *kept))
            first = part.stop
        return predictions

    def tidied(self, prediction: Prediction) -> Prediction:
        """Return a prediction without small objects and with holes filled, as far as the settings ask for it."""
        settings = self.settings
        if settings.min_size <= 1 and not settings.fill_holes:
            return prediction
        from napari_attnseg.prediction.postprocess import tidy  # half a second of imports

        labels = [
            tidy(plane, min_size=settings.min_size, fill_holes=settings.fill_holes) for plane in prediction.labels
        ]
        return replace(prediction, labels=np.stack(labels))

    def planes_at_once(self, shape: tuple[int, ...]) -> int:
        """Return how many planes, of a shape (..., y, x), go through the network together."""
        tiling = self.tiling
        return planes_at_once(shape, tiling.tile_size, tiling.overlap, tiling.batch_size, self.model.divisor)

    @property
    def probability_names(self) -> tuple[str, ...]:
        """A name for each class that has a probability."""
        return probability_names(self.card)

    @property
    def gate_names(self) -> tuple[str, ...]:
        """A name for each attention gate, deepest first."""
        return gate_names(self.card)

    def _data(self) -> DataSettings:
        """Return how images are read and scaled: as for training, save for what the settings say."""
        return data_of(self.card, axes=self.settings.axes, channels=self.settings.channels)

    @staticmethod
    def _kept(channels: int, pixels: FloatArray) -> FloatArray:
        """Return the place for what is kept of all planes, (plane, channel, y, x)."""
        return np.empty((len(pixels), channels, *pixels.shape[2:]), np.float32)


def _require_turned(card: ModelCard, settings: PredictionSettings) -> None:
    """Refuse mirrored versions of what a model has only seen one way round, such as a left and a right kidney.

    Raises
    ------
    SettingsError
        The model learnt without flips.
    """
    learnt = card.training.get("settings")
    flips = learnt.get("flips", "auto") if isinstance(learnt, dict) else "auto"
    if settings.tta and not (flips == "on" or (flips == "auto" and card.convention.n_classes == 2)):
        raise SettingsError(
            "The model learnt from patches that were neither mirrored nor turned, so that it may take left for "
            "right in mirrored ones; leave out --tta, or train with --flips on if sides do not matter."
        )

"""The network of Niblic's Attention_SE_Unet in Keras 3, rebuilt after the table in its README.

The table gives widths 32 to 512 on five levels, max-pooling and one output plane; the sample below it Adam at Keras's
own rate and Dice. As there, a block is two 3 x 3 convolutions with batch normalisation, up-sampling is to the nearest
pixel with a 2 x 2 convolution that halves the channels, and squeeze-and-excitation (r = 16) weighs what goes up before
the skip joins it. Unlike there, the output has one sigmoid, and not two with a batch normalisation in between.
Keras runs on TensorFlow, as its users run it, and on PyTorch where TensorFlow is not installed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np

from benchmarks.peers.arrays import (
    Floats,
    batch_of,
    lesson_patches,
    padded,
    read_rgb,
    write_mask,
    write_probabilities,
)
from benchmarks.peers.windows import slide_last

_COUNTED = 256
_SE_REDUCTION = 16


class Niblic:
    """The network with Keras's own training step; see `peer.Peer`. Keras has the channels last."""

    def prepare(self, *, widths: list[int], threads: int, device: str, channels: int = 3) -> dict[str, Any]:
        """Build the network."""
        if device != "cpu":
            raise ValueError("it is measured on the CPU alone: tensorflow-cpu knows no GPU")
        backend = _choose_backend(threads)
        import keras

        keras.utils.set_random_seed(0)
        self._channels = channels
        self._network = build(channels, widths)
        # Without XLA, which Keras would choose: on a CPU it took minutes to compile a step, for each size anew.
        self._network.compile(optimizer=keras.optimizers.Adam(), loss=dice, jit_compile=False)
        parameters = sum(prod(one.shape) for one in self._network.trainable_weights)
        fixed = build(channels, widths, _COUNTED)
        return {
            "parameters": parameters,
            "multiply_adds": multiply_adds(fixed),
            "computes": f"float32 on cpu, Keras on {backend}",
        }

    def train(self, *, size: int, batch: int, steps: int) -> float:
        """Learn steps of one batch; return the seconds an image."""
        images, masks = _channels_last(*batch_of(size, batch, self._channels))
        began = time.perf_counter()
        for _ in range(steps):
            self._network.train_on_batch(images, masks)
        return (time.perf_counter() - began) / (steps * batch)

    def predict(self, *, image: str, repeats: int) -> float:
        """Read an image and make its mask, again and again; return the seconds that one takes."""
        began = time.perf_counter()
        for _ in range(repeats):
            mask = self._probability(read_rgb(image)) > 0.5
        assert mask.ndim == 2
        return (time.perf_counter() - began) / repeats

    def predict_large(self, *, image: str, out: str) -> float:
        """Make the mask of a large image by a sliding window as MONAI has it; return the seconds."""

        def network(windows: Floats) -> Floats:
            return np.asarray(self._network.predict_on_batch(windows))[..., 0]

        began = time.perf_counter()
        write_mask(out, image, slide_last(np.moveaxis(read_rgb(image), 0, -1), network) > 0.5)
        return time.perf_counter() - began

    def begin(self, *, lesson: str) -> None:
        """Take a folder to learn from."""
        self._patches = lesson_patches(lesson)

    def learn(self, *, seconds: float) -> None:
        """Go on learning for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._network.train_on_batch(*_channels_last(*next(self._patches)))

    def probabilities(self, *, images: list[str], out: str) -> list[str] | None:
        """Write the probability of each image."""
        return write_probabilities(images, out, self._probability)

    def _probability(self, image: Floats) -> Floats:
        """Return (y, x) of an image (channel, y, x)."""
        seen = np.moveaxis(padded(image), 0, -1)[None]
        found = np.asarray(self._network.predict_on_batch(seen))
        return found[0, : image.shape[1], : image.shape[2], 0]


def build(channels: int, widths: Sequence[int], side: int | None = None) -> Any:
    """Build the network for images of one side, or of any."""
    from keras import Input, Model, layers

    image = Input((side, side, channels))
    skips: list[Any] = []
    features: Any = image
    for width in widths[:-1]:
        features = _block(features, width)
        skips.append(features)
        features = layers.MaxPooling2D()(features)
    features = _convolved(_block(features, widths[-1]), widths[-1], 1)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        up = _convolved(layers.UpSampling2D()(features), width, 2)
        features = _block(layers.Concatenate()([_squeezed(up, width), skip]), width)
    return Model(image, layers.Conv2D(1, 1, activation="sigmoid")(features))


def dice(truth: Any, probability: Any) -> Any:
    """Return 1 - soft Dice over the batch."""
    from keras import ops

    truth = ops.cast(truth, probability.dtype)
    both = ops.sum(truth * probability)
    return 1 - (2 * both + 1) / (ops.sum(truth) + ops.sum(probability) + 1)


def multiply_adds(network: Any) -> int:
    """Count what the convolutions of a network for one size of images multiply, as PyTorch's counter does."""
    total = 0
    for layer in network.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            places = prod(layer.output.shape[1:-1])  # none for a dense layer
            total += places * prod(kernel.shape)
    return total


def _block(features: Any, width: int) -> Any:
    return _convolved(_convolved(features, width, 3), width, 3)


def _convolved(features: Any, width: int, side: int) -> Any:
    from keras import layers

    features = layers.Conv2D(width, side, padding="same")(features)
    return layers.ReLU()(layers.BatchNormalization()(features))


def _squeezed(features: Any, width: int) -> Any:
    """Weigh channels by what a small network makes of their means (Hu 2018)."""
    from keras import layers

    means = layers.GlobalAveragePooling2D(keepdims=True)(features)
    hidden = layers.Dense(max(width // _SE_REDUCTION, 1), activation="relu")(means)
    return layers.Multiply()([features, layers.Dense(width, activation="sigmoid")(hidden)])


def _channels_last(images: Floats, masks: Floats) -> tuple[Floats, Floats]:
    return np.ascontiguousarray(np.moveaxis(images, 1, -1)), masks[..., None]


def _choose_backend(threads: int) -> str:
    """Set up what Keras computes with, before it is imported for the first time; return its name."""
    if find_spec("tensorflow") is None:
        import torch

        torch.set_num_threads(threads)
        os.environ["KERAS_BACKEND"] = "torch"
        return "PyTorch"
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    return "TensorFlow"

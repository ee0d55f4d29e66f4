"""What a worker can be asked; a peer leaves out what it has no use for."""

from __future__ import annotations

from typing import Any, Protocol


class Peer(Protocol):
    """A way of learning and predicting, of RGB images unless it is prepared otherwise.

    Times are measured here, in the worker, and so without the messages. All arguments and results are JSON.
    """

    def prepare(self, *, widths: list[int], threads: int, device: str, channels: int) -> dict[str, Any]:
        """Build the network with fresh weights, with so many threads to compute on.

        Returns `parameters`, `multiply_adds` (of one image of 256 x 256) and `computes`, in words.
        """

    def train(self, *, size: int, batch: int, steps: int) -> float:
        """Learn steps of one batch of `size` x `size` patches; return the seconds an image.

        The batch is that of `batch_of`, in memory; the loss is not looked at.
        """

    def predict(self, *, image: str, repeats: int) -> float:
        """Read an image and make its mask, again and again; return the seconds that one takes."""

    def predict_large(self, *, image: str, out: str) -> float:
        """Make the mask of a large image from file to file; return the seconds."""

    def begin(self, *, lesson: str) -> None:
        """Take a folder to learn from; see `benchmarks.quality.lesson`."""

    def learn(self, *, seconds: float) -> None:
        """Go on learning for so long."""

    def probabilities(self, *, images: list[str], out: str) -> list[str] | None:
        """Write the probability of each image, .npy float32 (y, x); None where nothing was learnt yet.

        `images` are .npy files, float32 (channel, y, x) in [0, 1].
        """

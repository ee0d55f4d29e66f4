"""A random forest that classifies pixels by features of their surroundings, as ilastik and its kin do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks.peers.arrays import Floats, write_probabilities
from benchmarks.peers.features import pixel_features, sampled_pixels

_PIXELS_AN_IMAGE = 4000
_TREES_AT_ONCE, _MOST_TREES = 10, 500


class Forest:
    """Grows trees as long as it is given time; see `peer.Peer`."""

    def __init__(self) -> None:
        self._forest: RandomForestClassifier | None = None

    def prepare(self, *, widths: list[int], threads: int, device: str, channels: int = 3) -> dict[str, Any]:
        """Note how many threads there are."""
        self._threads = threads
        return {"parameters": None, "multiply_adds": None, "computes": "scikit-image and scikit-learn on cpu"}

    def begin(self, *, lesson: str) -> None:
        """Take a folder to learn from."""
        self._work = self._growing(Path(lesson))

    def learn(self, *, seconds: float) -> None:
        """Go on for so long: first the features of the images, then trees, until there are enough."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and next(self._work, "grown") != "grown":
            pass

    def probabilities(self, *, images: list[str], out: str) -> list[str] | None:
        """Write the probability of each image; None while there is no tree."""
        return None if self._forest is None else write_probabilities(images, out, self._probability)

    def _growing(self, lesson: Path) -> Iterator[str]:
        rng = np.random.default_rng(0)
        seen, labels = [], []
        for image in sorted((lesson / "images").glob("*.npy")):
            mask = np.load(lesson / "labels" / image.name)
            chosen = sampled_pixels(mask, _PIXELS_AN_IMAGE, rng)
            features = pixel_features(np.load(image))
            seen.append(features.reshape(-1, features.shape[-1])[chosen])
            labels.append(mask.ravel()[chosen])
            yield "features"
        forest = RandomForestClassifier(
            _TREES_AT_ONCE, min_samples_leaf=5, max_samples=0.5, warm_start=True, n_jobs=self._threads, random_state=0
        )
        all_seen, all_labels = np.concatenate(seen), np.concatenate(labels)
        while forest.n_estimators <= _MOST_TREES:
            self._forest = forest.fit(all_seen, all_labels)
            yield "trees"
            forest.n_estimators += _TREES_AT_ONCE

    def _probability(self, image: Floats) -> Floats:
        """Return (y, x) of an image (channel, y, x)."""
        assert self._forest is not None
        features = pixel_features(image)
        found = self._forest.predict_proba(features.reshape(-1, features.shape[-1]))[:, 1]
        return np.asarray(found.reshape(features.shape[:2]), np.float32)

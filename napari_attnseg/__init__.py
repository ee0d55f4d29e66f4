"""Human-in-the-loop segmentation of TIFF images with attention U-Nets.

From a notebook: `find_pairs`, `fit`, `predict` and `evaluate`. They are loaded when first used, so that importing the
package costs nothing and brings no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_attnseg.engine import evaluate, find_pairs, fit, predict

__all__ = ["evaluate", "find_pairs", "fit", "predict"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from napari_attnseg import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

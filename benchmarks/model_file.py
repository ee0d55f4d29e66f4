"""Model files to measure with, where it does not matter what they have learnt."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.models.model_file import ModelCard, save_model
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import DataSettings, ModelSettings


def write_fresh_model(path: Path, network: ModelSettings) -> None:
    """Write a network as it is before training, for binary masks of 0 and 255."""
    torch.manual_seed(0)
    masks = MaskConvention("binary", {0: 0, 255: 1}, ("background", "object"))
    card = ModelCard(model=network, data=DataSettings(), masks=masks.to_dict(), patch_size=64)
    save_model(path, build_model(network), card)

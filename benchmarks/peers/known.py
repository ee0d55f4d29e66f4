"""Who is compared: ourselves and the peers, each by where its worker finds it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

WIDTHS = (32, 64, 128, 256, 512)
NARROW = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Kind:
    """One way of learning and predicting."""

    name: str
    title: str
    where: str
    """Module and name of what makes it, with a colon between."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """What it is always prepared with, whatever the others get."""


OURS = Kind("ours", "ours, attention_se_unet", "benchmarks.peers.ours:Ours")
MONAI = Kind("monai", "MONAI AttentionUnet", "benchmarks.peers.torch_networks:monai")
SMP = Kind("smp", "segmentation-models-pytorch Unet (resnet34, scse)", "benchmarks.peers.torch_networks:smp")
NIBLIC = Kind("niblic", "Keras SE U-Net after Niblic's README", "benchmarks.peers.keras_network:Niblic")
FOREST = Kind("forest", "random forest on pixel features", "benchmarks.peers.forest:Forest")

NETWORKS = (MONAI, SMP, NIBLIC)
LEARNERS = (
    replace(MONAI, title=f"{MONAI.title}, 32 to 512"),
    replace(MONAI, name="monai-narrow", title=f"{MONAI.title}, 16 to 256", fixed={"widths": NARROW}),
    SMP,
    NIBLIC,
    FOREST,
)
"""Those that learn in the comparison of minutes."""

"""How the network learns."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_attnseg.settings.computing import DeviceName, PrecisionName
from napari_attnseg.settings.declared import Settings, extra_data

LossName = Literal["dice", "jaccard", "bce", "focal", "dice_focal", "dice_bce"]
OptimiserName = Literal["adamw", "adam", "sgd"]
ScheduleName = Literal["cosine", "plateau", "constant"]


class TrainingSettings(Settings):
    """How the network learns."""

    loss: LossName = Field(
        "dice_bce",
        title="Loss",
        description="What is made small: Dice, Jaccard, (binary) cross-entropy, focal, or a sum of two.",
        json_schema_extra=extra_data(basic=True),
    )
    focal_share: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Focal share",
        description="How much focal counts beside Dice (loss dice_focal only).",
    )
    class_weights: Literal["equal", "inverse"] = Field(
        "equal",
        title="Class weights",
        description="How much the pixels of each class count in cross-entropy and focal: all the same, or the more the "
        "rarer the class is in the masks that are learnt from. Dice and Jaccard weigh classes the same by themselves.",
    )
    epochs: int = Field(
        100,
        ge=1,
        le=100_000,
        title="Epochs",
        description="Rounds of training; after each the held-out images are scored.",
        json_schema_extra=extra_data(basic=True),
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        title="Time limit",
        description="Stop after this time, scoring and saving included; with the cosine schedule the learning rate "
        "falls over this time.",
        json_schema_extra=extra_data("minutes", basic=True),
    )
    steps_per_epoch: int | None = Field(
        None,
        ge=1,
        title="Batches an epoch",
        description="Unset: as many as it takes to see about every pixel once, from 20 to 500.",
    )
    patch_size: int = Field(
        64,
        ge=16,
        le=2048,
        title="Patch size",
        description="Side of the squares that are learnt from, after a random zoom out; larger ones suit large objects "
        "and long trainings.",
        json_schema_extra=extra_data("pixels"),
    )
    batch_size: int = Field(16, ge=1, le=1024, title="Batch size", description="Patches in one training step.")
    optimiser: OptimiserName = Field(
        "adamw",
        title="Optimiser",
        description="How the network is changed after each batch: AdamW, Adam, or stochastic gradient descent (sgd) "
        "with momentum. Adam mostly goes with a lower learning rate (0.0001 to 0.001), sgd with a higher one "
        "(0.01 to 0.1).",
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, title="Momentum", description="How much of the steps before goes into each step (sgd only)."
    )
    learning_rate: float = Field(5e-3, gt=0, le=1, title="Learning rate", description="The highest one, after warm-up.")
    weight_decay: float = Field(
        1e-2, ge=0, le=1, title="Weight decay", description="AdamW's weight decay (adamw only)."
    )
    schedule: ScheduleName = Field(
        "cosine",
        title="Schedule",
        description="How the learning rate changes after the warm-up: cosine lets it fall smoothly to the end, plateau "
        "lowers it when the score on the held-out images stops rising, constant leaves it.",
    )
    warmup: float = Field(
        0.05,
        ge=0,
        lt=1,
        title="Warm-up",
        description="Share of the training over which the learning rate rises at the begin, with any schedule.",
    )
    plateau_factor: float = Field(
        0.1,
        gt=0,
        lt=1,
        title="Plateau factor",
        description="What the learning rate is multiplied with when the score stops rising (schedule plateau only).",
    )
    plateau_patience: int = Field(
        5,
        ge=1,
        title="Plateau patience",
        description="Epochs without a better score after which the learning rate is lowered (schedule plateau only). "
        "Where no image is held out the loss decides.",
        json_schema_extra=extra_data("epochs"),
    )
    min_learning_rate: float = Field(
        1e-6,
        ge=0,
        le=1,
        title="Lowest learning rate",
        description="It is not lowered further than to this (schedule plateau only).",
    )
    ema: float = Field(
        0.98,
        ge=0,
        lt=1,
        title="Weight averaging",
        description="Decay of the moving average of the weights that is scored and saved; 0 turns it off.",
    )
    patience: int = Field(
        0,
        ge=0,
        title="Early stopping",
        description="Stop after this many epochs without a better score; 0 never stops early.",
        json_schema_extra=extra_data("epochs"),
    )
    augmentation: Literal["none", "default", "strong"] = Field(
        "default",
        title="Augmentation",
        description="Random changes of image and mask: rotation, scale, brightness, contrast and noise.",
    )
    min_zoom: float | None = Field(
        None,
        ge=0.2,
        le=4,
        title="Smallest zoom",
        description="The least magnification at which patches are shown (not with augmentation none). Small ones show "
        "more of the image at once, which short trainings gain from; long ones find finer borders with zooms on both "
        "sides of 1, such as 0.75 to 1.33. Unset: 0.4, or 0.3 with augmentation strong.",
    )
    max_zoom: float | None = Field(
        None,
        ge=0.2,
        le=4,
        title="Largest zoom",
        description="The largest magnification at which patches are shown (not with augmentation none). Unset: 1, or "
        "1.4 with augmentation strong, or the smallest zoom where that is larger.",
    )
    flips: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Flips",
        description="Mirror and turn patches by quarters. Auto: on for binary masks, off with several classes, which "
        "may differ by side, as a left and a right kidney do.",
    )
    foreground: float = Field(
        0.5, ge=0, le=1, title="Foreground patches", description="Share of patches centred on an annotated object."
    )
    focus_share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Edited images",
        description="Share of the patches from the images to concentrate on, those edited since the last training; the "
        "rest comes from all others, so that what was learnt from them is kept.",
    )
    image_memory: float | None = Field(
        None,
        ge=0,
        title="Image memory",
        description="How much memory the images may take; those that do not fit are read from their files again and "
        "again while training. Unset: half of what is free when the training begins.",
        json_schema_extra=extra_data("GB"),
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="Seed of everything random.")
    device: DeviceName = Field(
        "auto", title="Device", description="Where to compute; auto takes a GPU if there is one."
    )
    precision: PrecisionName = Field(
        "auto",
        title="Precision",
        description="Number type of the heavy arithmetic; auto takes 16 bit where the device gains from it.",
    )

    @model_validator(mode="after")
    def _zooms_in_order(self) -> Self:
        if self.min_zoom is not None and self.max_zoom is not None and self.min_zoom > self.max_zoom:
            raise ValueError(f"the smallest zoom {self.min_zoom:g} is larger than the largest zoom {self.max_zoom:g}")
        return self

"""Each preset through files: trained, saved, and used for a prediction with its attention maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_attnseg.engine import fit, predict
from napari_attnseg.models.model_file import load_card
from napari_attnseg.settings import ModelSettings
from tests.conftest import TINY, MakeFolder


@pytest.mark.parametrize(
    ("model", "values", "gates"),
    [
        ("attention_unet", {"gate": "channel", "upsampling": "bilinear"}, 1),
        ("se_unet", {"se_reduction": 4, "precision": "bfloat16"}, 0),
        ("full_se_unet", {}, 0),
        ("cbam_unet", {"precision": "bfloat16"}, 0),
    ],
)
def test_a_preset_is_trained_saved_and_used(
    model: str, values: dict[str, object], gates: int, make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder(3)
    result = fit(source, tmp_path / "run", model=model, **{**TINY, "epochs": 1, "steps_per_epoch": 2, **values})
    card = load_card(result.folder.best)
    assert card.model.name == model
    given = {name: value for name, value in values.items() if name in ModelSettings.model_fields}
    assert card.model.model_dump(include=set(given)) == given
    found = predict(result, source / "cell00.tif", attention=gates > 0)
    assert found.labels.shape == (1, 48, 40)
    assert (found.attention is None) == (gates == 0)
    if found.attention is not None:
        assert found.attention.shape == (1, gates, 48, 40)

"""The README's Python, run as it stands but for a shorter training."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHORT = 'epochs=1, steps_per_epoch=2, widths=(8, 16), patch_size=32, batch_size=4, device="cpu"'


def test_the_readmes_python_runs_without_napari_and_qt(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert "max_minutes=1" in block
    code = block.replace("max_minutes=1", SHORT) + (
        "\nimport sys\nassert not {'napari', 'qtpy', 'PyQt5', 'PyQt6'} & set(sys.modules)\n"
        "assert prediction.labels.ndim == 3 and prediction.probability.shape[1] == 1\n"
        "assert 0 <= scores.mean.f1 <= 1 and len(scores.images) == 6\n"
    )
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Scores(" in done.stdout

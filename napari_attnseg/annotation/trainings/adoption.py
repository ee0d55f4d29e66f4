"""What becomes of a training that has ended: its model is used, unless it is no better than the one it started from."""

from __future__ import annotations

from pathlib import Path

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.trainings.folder_models import FolderModels
from napari_attnseg.annotation.trainings.run_history import RunRecord, history
from napari_attnseg.job_process import JOB


def adopt(models: FolderModels, record: RunRecord, began: float | None = None) -> str:
    """Take the model of a training into use, and note that the folder was trained on.

    Where it is no better than the one it started from, the model in use stays; if there is none, that one is taken.

    Parameters
    ----------
    models
        Of the folder that was trained on; `models.save` keeps what changes here.
    record
        The training.
    began
        When it began, in seconds since 1970: masks saved since then count as edited since. None: as recorded.

    Returns
    -------
    str
        A sentence if the model of the training is not used; '' otherwise.
    """
    if record.model is None or record.state in ("running", "failed"):
        return ""
    # the time in the folder's name has lost its fraction, and is later than a beginning just before a full second
    models.folder.note_trained(max(_began(record) if began is None else began, record.when.timestamp()))
    if record.improved is not False:
        models.use(record.model)
        return ""
    scored = f" ({record.start_score:.3f})" if record.start_score is not None else ""
    return (
        f"The new model is no better on the held-out images than the one it started from{scored}; "
        f"{_use_instead(models, record.init)}. The new one is kept aside: press 'Use' to take it all the same."
    )


def _use_instead(models: FolderModels, start: Path | None) -> str:
    """Take the starting model into use if there is none, and say which model is used, as a clause."""
    if models.in_use is None and start is not None and start.is_file():
        models.use(start)
        return "that one is used"
    return "that one stays in use" if models.in_use == start else "the model in use stays"


def missed(folder: AnnotationFolder) -> RunRecord | None:
    """Return the latest training of a folder that ended while no window showed the folder; None if none did."""
    latest = next((record for record in history(folder.root) if record.state != "failed"), None)
    if latest is None or latest.model is None or latest.state == "running":
        return None
    return latest if latest.when.timestamp() > (folder.last_training or 0.0) else None


def _began(record: RunRecord) -> float:
    """Return when the process of a training was started, which was just after its masks were saved."""
    try:
        return (record.path / JOB).stat().st_mtime
    except OSError:
        return record.when.timestamp()

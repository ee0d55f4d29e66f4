"""What the user is told when something fails, whether or not it was foreseen."""

from __future__ import annotations

import logging

from napari_attnseg.errors import AttnSegError

_log = logging.getLogger(__name__)


def failure_text(error: Exception, what: str = "This could not be done") -> str:
    """Return sentences for the user; what was not foreseen goes into the log, with where it happened.

    Parameters
    ----------
    error
        What was raised.
    what
        The beginning of the sentence if `error` has none of its own, such as 'cell01.tif cannot be opened'.
    """
    if isinstance(error, AttnSegError):
        return str(error)
    _log.error("%s", what, exc_info=error)
    if isinstance(error, MemoryError):
        return f"{what}: there is not enough memory."
    if isinstance(error, OSError) and error.strerror:
        return f"{what}: {error.strerror}."
    kind = type(error).__name__
    return f"{what}, because of an error in the program ({kind}{f': {error}' if str(error) else ''})."

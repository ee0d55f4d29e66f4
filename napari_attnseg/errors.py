"""The errors a user can cause or mend.

Each message is one full sentence or two: which file, what was found, what was expected, what to do.
Code below the command line and the viewer raises them; only those two catch them.
"""

from __future__ import annotations


class AttnSegError(Exception):
    """Anything that goes wrong in a way the user can understand and act on."""


class Stopped(Exception):
    """Whoever asked for the work has asked to stop it; nothing was returned."""


class DataError(AttnSegError):
    """An image, a mask or a folder of them cannot be used as it is."""


class ChangedError(DataError):
    """An image was changed while it was read."""


class GapsError(DataError):
    """Parts of an image could not be decoded; its prediction was written all the same, with gaps."""


class ModelFileError(AttnSegError):
    """A file is no model of ours, is damaged, or was written by a newer version."""


class SettingsError(AttnSegError):
    """A setting, or a combination of settings with the data, makes no sense."""


class SaveError(AttnSegError):
    """A file could not be written; what was there before is still there."""


class InUseError(SaveError):
    """Another process writes the same files at this moment; when it has ended, they can be written."""


class RunFolderError(AttnSegError):
    """A run folder is in the way, is incomplete, or belongs to something else."""


class ShortOfMemoryError(AttnSegError):
    """Memory ran out in this very process; others that work with it may have enough, and not know."""


class ClusterError(AttnSegError):
    """A cluster does not answer, or its workers are not fit for the work."""

"""Opening a TIFF so that whatever is wrong with it becomes one sentence."""

from __future__ import annotations

import logging
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from napari_attnseg.errors import DataError

# what tifffile and imagecodecs raise on damaged files; imagecodecs' own errors are RuntimeErrors
DECODING_ERRORS = (
    tifffile.TiffFileError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_SIGNATURES = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"PK\x03\x04": "a ZIP archive",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
}


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[tuple[tifffile.TiffFile, list[str]]]:
    """Open a TIFF for reading; yield it and the list that its log messages go to, in place of the log.

    Raises
    ------
    DataError
        The file is missing, unreadable, empty, no TIFF, cut short or damaged. Errors inside the `with` block are
        translated likewise.
    """
    with _quiet() as messages:
        try:
            _check_signature(path)
            with tifffile.TiffFile(path, _multifile=False, **options) as tif:
                yield tif, messages
        except DataError:
            raise
        except MemoryError as error:
            raise DataError(f"{path.name} does not fit into memory; close other programs or cut the image.") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        except DECODING_ERRORS as error:
            raise _damaged(path, messages, error) from error


def require_whole(path: Path, pages: Iterable[tifffile.TiffPage | tifffile.TiffFrame | None]) -> None:
    """Check that the data of the pages lie within the file.

    Raises
    ------
    DataError
        The file is shorter than its pages say.
    """
    size = path.stat().st_size
    for page in pages:
        if page is None:
            continue
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
        if end > size:
            raise cut_short(path, f"it has {size} bytes but its pixels should reach to byte {end}")


def require_all_pages(path: Path, tif: tifffile.TiffFile, messages: list[str]) -> None:
    """Check that the chain of pages ends where it should; `messages` are those of `opened`.

    Raises
    ------
    DataError
        The chain points behind the end of the file, so that pages are missing.
    """
    len(tif.pages)
    if any("invalid page offset" in message or "invalid value offset" in message for message in messages):
        raise cut_short(path, "pages or the description of it are missing")


def cut_short(path: Path, found: str) -> DataError:
    """Return the error for a file that was not written or copied to its end."""
    return DataError(f"{path.name} is cut short: {found}. Copy or export it again ({path}).")


def reason_of(error: BaseException) -> str:
    """Return what an exception says, in one line of at most 150 characters, without a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text[:147] + "..." if len(text) > 150 else text).rstrip(".")


def _check_signature(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder; a TIFF file was expected.")
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        raise DataError(f"{path.name} is empty (0 bytes); copy or export it again, or delete it ({path}).")
    if start[:4] in _SIGNATURES:
        return
    found = next((what for magic, what in _OTHER_FORMATS.items() if start.startswith(magic)), None)
    if found is None:
        found = "a text file" if _is_text(start) else "in no format we know"
    raise DataError(f"{path.name} is no TIFF image but {found}; save it as TIFF, or move it elsewhere ({path}).")


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n\f" for byte in start)


def _unreadable(path: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist.")
    reason = error.strerror or reason_of(error)
    return DataError(f"{path.name} cannot be read: {reason[0].lower() + reason[1:]} ({path}).")


def _damaged(path: Path, messages: list[str], error: BaseException) -> DataError:
    text = str(error)
    if "failed to read" in text or any("invalid page offset" in message for message in messages):
        return cut_short(path, "pixels of it are missing")
    if isinstance(error, struct.error):
        return cut_short(path, "it ends within its header")
    return DataError(
        f"{path.name} cannot be decoded; it is damaged or uses an unusual encoding ({reason_of(error)}). "
        f"Export it again, as an uncompressed or deflate-compressed TIFF ({path})."
    )


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep tifffile's log messages of this thread from the log, and collect them."""
    messages: list[str] = []
    thread = threading.get_ident()

    def collect(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        messages.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        yield messages
    finally:
        logger.removeFilter(collect)

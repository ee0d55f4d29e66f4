"""Tables of objects, and a summary of each image, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.atomic import replacing
from napari_attnseg.data.spacing import MILLIMETRES
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.settings import Reach

_MOST_WHOLE = 1e15  # what is larger is no count, and floats do not tell it from its neighbours

Array = np.ndarray[Any, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Columns of equal length by their titles, in order; units stand in the titles."""

    columns: dict[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return tuple(self.columns)


def joined(tables: Sequence[Table]) -> Table:
    """Return all rows one after the other; a column that a table has not is NaN there, and each stays near its place.

    Tables of images with different units have different titles, so that no column mixes units.
    """
    titles: list[str] = []
    for table in tables:
        for number, title in enumerate(table.titles):
            if title not in titles:
                after = (titles.index(other) for other in table.titles[number + 1 :] if other in titles)
                titles.insert(next(after, len(titles)), title)
    columns = {}
    for title in titles:
        known = [table.columns[title] for table in tables if title in table.columns]
        kind = float if all(part.dtype.kind in "iuf" for part in known) else object
        parts = [table.columns.get(title, np.full(len(table), np.nan, kind)) for table in tables]
        columns[title] = np.concatenate(parts)
    return Table(columns)


def write_table(path: Path, table: Table) -> None:
    """Write a CSV file at once, in UTF-8 with the mark by which Excel knows it; what is not known is left empty.

    Raises
    ------
    SaveError
        The file cannot be written; what was there before is unchanged.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.titles)
        writer.writerows(map(shown, row) for row in zip(*table.columns.values(), strict=True))


def shown(value: Any) -> str:
    """Return a value as it is written: whole ones in full, fractions with six digits, '' for what is not known."""
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if not np.isfinite(number):
        return ""
    return f"{number:.0f}" if number.is_integer() and abs(number) < _MOST_WHOLE else f"{number:.6g}"


def summary(table: Table, geometry: Geometry, reach: Reach, size: tuple[int, int], image: str) -> list[Row]:
    """Return what an image's objects come to: a row for all of them, and one for each class where there are several.

    Parameters
    ----------
    table
        As `measure` made it.
    geometry, reach
        As they were measured.
    size
        Rows and columns of a plane.
    image
        The image's name; there is a row for it also where it has no object.
    """
    classes = np.unique(table.columns["Class"].astype(str)) if len(table) else np.array([], str)
    rows = [_row(table, np.ones(len(table), bool), geometry, reach, size, image, "all")]
    if len(classes) > 1:
        for name in classes:
            at = table.columns["Class"].astype(str) == name
            rows.append(_row(table, at, geometry, reach, size, image, str(name)))
    return rows


def _row(
    table: Table, at: Array, geometry: Geometry, reach: Reach, size: tuple[int, int], image: str, name: str
) -> Row:
    volume = geometry.makes_volumes(reach)
    kind = "volume" if volume else "area"
    pixels = table.columns["Pixels"][at]
    whole = size[0] * size[1] * geometry.n_planes
    field = whole / geometry.times if geometry.joins_times(reach) else whole  # an object counts once for all times
    row: Row = {"Image": image, "Class": name, "Objects": int(at.sum())}
    row |= {"Mean size (px)": _mean(pixels), "Total size (px)": int(pixels.sum())}
    row["Covered (%)"] = 100 * float(pixels.sum()) / max(whole, 1)
    physical = next((title for title in table.titles if title.startswith(("Area (", "Volume ("))), None)
    per_pixel = geometry.pixel_measure(volume)
    if physical is not None and per_pixel is not None:
        power = "³" if volume else "²"
        values = table.columns[physical][at]
        row[f"Mean {kind} ({geometry.unit}{power})"] = _mean(values)
        row[f"Total {kind} ({geometry.unit}{power})"] = float(pixels.sum()) * per_pixel
        factor = MILLIMETRES.get(geometry.unit)
        if factor is not None:
            row[f"Objects per mm{power}"] = int(at.sum()) / (field * per_pixel * factor ** (3 if volume else 2))
    else:
        row["Objects per megapixel"] = 1e6 * int(at.sum()) / max(field, 1)
    return row


def table_of(rows: Sequence[Row]) -> Table:
    """Return rows as a table; a value that a row has not is NaN."""
    return joined([Table({title: np.array([value], object) for title, value in row.items()}) for row in rows])


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")

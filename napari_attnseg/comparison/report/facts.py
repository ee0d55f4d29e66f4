"""The facts of a comparison for whoever wants to repeat it: data, settings, devices, machine and versions."""

from __future__ import annotations

from collections.abc import Collection

from napari_attnseg.comparison.record import Record
from napari_attnseg.comparison.results import Results
from napari_attnseg.wording import counted

Facts = tuple[tuple[str, str], ...]


def facts_of(record: Record, results: Results) -> Facts:
    """Return the facts, each with its name; those that are empty are left out."""
    asked = record.asked
    train, held_out = record.splits[0]
    split = f"{len(train)} to learn from, {len(held_out)} held out, chosen with seed {asked.seed}"
    facts = [
        ("Data", str(asked.data.resolve())),
        ("Split", f"{asked.folds} folds, chosen with seed {asked.seed}" if asked.folds else split),
        ("Classes", ", ".join(results.class_names)),
        ("Settings given", "; ".join(settings_in_words(record)) or "none, all are the defaults"),
        ("Recipes", ", ".join(asked.recipes)),
        ("Computed on", "; ".join(devices_in_words(results))),
        ("Machine", record.machine),
        ("Versions", ", ".join(f"{name} {number}" for name, number in record.versions.items())),
    ]
    return tuple((name, text) for name, text in facts if text)


def settings_in_words(record: Record, without: Collection[str] = ()) -> list[str]:
    """Return the settings that were given, 'patch size 64', but those of some names; with what they were before."""
    words = []
    for group, name, option, value in record.asked.given_settings:
        if name not in without:
            earlier = record.earlier.get(name, []) if group == "training" else []
            before = f" (before {', then '.join(_plain(one) for one in earlier)})" if earlier else ""
            words.append(f"{option.replace('_', ' ')} {_plain(value)}{before}")
    return words


def devices_in_words(results: Results) -> list[str]:
    """Return where it was computed, and where there are several how many trainings were there."""
    found = results.devices
    return [f"{device} ({counted(count, 'training')})" if len(found) > 1 else device for device, count in found.items()]


def _plain(value: object) -> str:
    if value is None:
        return "not given"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

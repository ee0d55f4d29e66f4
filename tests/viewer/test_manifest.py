"""The manifest: what napari offers of ours, that all of it is there, and that it costs no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from npe2 import PluginManifest


@pytest.fixture
def manifest() -> PluginManifest:
    """Read the manifest as napari finds it: through the entry point of the installed package."""
    return PluginManifest.from_distribution("napari-attnseg")


def test_every_command_exists(manifest: PluginManifest) -> None:
    assert manifest.contributions.commands
    for command in manifest.contributions.commands:
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_every_contribution_has_its_command(manifest: PluginManifest) -> None:
    found = manifest.contributions
    known = {command.id for command in found.commands}
    used = [*found.readers, *found.writers, *found.sample_data, *found.widgets]
    assert {item.command for item in used} == known


def test_napari_runs_on_the_chosen_binding(viewer: Any) -> None:
    import qtpy

    assert os.environ["QT_API"] == qtpy.API
    assert viewer.window._qt_window.isVisible()


def test_the_dock_opens_from_the_menu_entry(viewer: Any, qtbot: Any) -> None:
    from napari_attnseg.viewer.annotate.dock import AnnotateDock

    dock, widget = viewer.window.add_plugin_dock_widget("napari-attnseg", "Annotate")
    assert isinstance(widget, AnnotateDock)
    qtbot.waitUntil(dock.isVisible, timeout=5000)


def test_opening_the_dock_in_a_fresh_program_brings_no_torch() -> None:
    code = (
        "import sys, napari\n"
        "viewer = napari.Viewer(show=False)\n"
        "viewer.window.add_plugin_dock_widget('napari-attnseg', 'Annotate')\n"
        "assert 'torch' not in sys.modules and 'kornia' not in sys.modules\n"
        "assert 'napari_attnseg.viewer.session.session' in sys.modules\n"
        "viewer.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr

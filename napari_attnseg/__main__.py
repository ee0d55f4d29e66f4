"""`python -m napari_attnseg`: the command line."""

from __future__ import annotations

import sys

from napari_attnseg.cli import main

sys.exit(main())

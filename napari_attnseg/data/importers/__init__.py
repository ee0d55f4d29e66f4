"""Data sets in the layouts of others to pairs of TIFF images: one module a layout, each with a function `find`."""

"""Synthetic microscopy and MRI: one module for each kind of image, and those for what the kinds share."""

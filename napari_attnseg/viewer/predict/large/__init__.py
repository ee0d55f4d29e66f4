"""Predictions of images that are too large for memory: shown while they grow."""

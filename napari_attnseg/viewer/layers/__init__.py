"""Images and masks on napari's layers."""

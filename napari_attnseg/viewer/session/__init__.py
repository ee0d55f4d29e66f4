"""What one viewer has open: the folder, the image that is shown, masks that are not saved."""

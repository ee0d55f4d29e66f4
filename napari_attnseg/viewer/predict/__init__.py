"""The Predict dock, what a model says of an image, and what of that goes into the mask."""

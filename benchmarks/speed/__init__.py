"""How many images, or pixels, a second."""

"""The trainings of a folder, and the models that came of them."""

"""The Objects dock: single objects of a mask or a prediction, and the table of them."""

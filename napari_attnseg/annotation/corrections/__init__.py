"""What is done to a mask at once: corrections, planes in between, predictions that are accepted."""

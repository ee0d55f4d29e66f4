"""The predictions of a folder: files of large ones, and how much correction they needed."""

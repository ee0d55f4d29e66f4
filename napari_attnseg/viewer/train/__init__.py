"""The Train dock, and the training that it starts and follows."""

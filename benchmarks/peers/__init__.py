"""Ours and the peers, each as a worker process that takes orders over its standard input."""

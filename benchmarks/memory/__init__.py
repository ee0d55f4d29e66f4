"""How much memory a process takes at its peak."""

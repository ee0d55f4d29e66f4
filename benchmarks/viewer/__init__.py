"""What a user of the viewer waits for, in real windows."""

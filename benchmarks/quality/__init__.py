"""How good the result is: F1 over minutes, fine-tuning, seams between tiles."""

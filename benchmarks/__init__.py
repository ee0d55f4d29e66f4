"""Measurements of speed, memory and quality; `make bench` prints them as a table. None of them is a test."""

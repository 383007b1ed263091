"""Whole training steps of two sides, measured by turns."""

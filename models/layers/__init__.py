"""Layers that models share: one idea a file."""

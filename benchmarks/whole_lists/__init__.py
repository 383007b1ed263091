"""Scores of whole candidate lists of a simulated world, held against its truth."""

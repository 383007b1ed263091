"""Tests of validation, with a slow validator to compare with."""

"""Replay: public data sets as event streams, one adapter a data set.

An adapter reads the files as they were published and writes a folder of time-ordered events for
each stream of a spec. Whatever it has to assume is named in its docstring and in `docs/data.md`.
"""

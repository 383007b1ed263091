"""A shop of known density as Parquet event files: what the speed benchmarks read.

Events come at a fixed rate an hour from a fixed crowd, so that more events mean more hours and
not a denser world; the first hours of a long world are a shorter world of the same seed. A folder
for each stream, a file for each hour, rows in order of time.
"""

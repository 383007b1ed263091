"""The graph of `pipelines.graph` with one Beam element an event: what "columnar" is held against.

read → validate → key by user → GroupByKey → step 1 → key by user → GroupByKey → step 4 → key by
file → GroupByKey → write → GroupByKey by window → seal; counts and dead letters come together in
one place. Elements are plain tuples and dicts, each stage is plain Python for one element, and
the runner is the direct driver's. Records and counts are the pipeline's, which is checked.

Left out is what makes the product one: there are no epochs and no kept state, so streams are
complete, nothing is late or forgotten, and each user is seen once; nothing is flushed to disk,
files have no block index, manifests only list them; tasks are binary, and copies of one time are
taken to be equal.
"""

"""A broker and a cluster for benchmarks, and jobs on them."""

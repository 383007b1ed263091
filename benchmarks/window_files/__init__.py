"""Window files as benchmarks make, compare and read them."""

"""The demo: the whole loop on shipped real data, as it would run in production."""

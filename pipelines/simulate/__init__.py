"""Simulate: worlds with known truth, as event streams and the tables that say what caused what.

`world_file` reads a world, `simulate` generates it slice by slice: `requests` and `feedback` say
what happens, `journeys` what crosses domains, `delivery` what arrives when, `truth` what is so.
"""

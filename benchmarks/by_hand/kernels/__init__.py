"""The inner loops of the program by hand (numba).

Requests and actions each stand in (user, time) order: the backbone. Everything else is an offset
into it. Tasks: 0 is the click, 1 the purchase.
"""

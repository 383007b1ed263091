"""Learners in processes of their own, forked from one that has imported what they need.

There is one such server in a process, and who uses it first decides what it has imported.
"""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch._dynamo", "tests.learner.runs"])

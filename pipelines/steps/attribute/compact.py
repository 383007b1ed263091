"""Room for samples: the gaps that forgotten requests leave are closed now and then."""

from dataclasses import replace

import numpy as np

from pipelines.arrays import Ints
from pipelines.steps.attribute.memory import Memory
from pipelines.steps.ragged import inverse, moved, offsets_of, runs


def compacted(memory: Memory) -> Memory:
    """The memory with samples moved together once less than half of them are needed.

    A sample moves about once in its life, however many cuts it is remembered for.
    """
    requests = memory.requests
    if 2 * requests.samples.sum() >= len(memory.samples):
        return memory
    return with_requests(memory, np.arange(len(requests)))


def with_requests(memory: Memory, rows: Ints) -> Memory:
    """Only these requests, in this order, their samples without gaps in the same order."""
    requests = memory.requests.take(rows)
    samples = runs(requests.first, requests.samples)
    places = inverse(samples, len(memory.samples))
    feedback, credits = memory.feedback, memory.credits
    return replace(
        memory,
        requests=replace(requests, first=offsets_of(requests.samples)[:-1]),
        samples=memory.samples.take(samples),
        feedback=replace(
            feedback,
            flag=moved(feedback.flag, places),
            positive=moved(feedback.positive, places),
        ),
        credits=replace(credits, sample=moved(credits.sample, places)),
    )

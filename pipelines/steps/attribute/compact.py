"""Room for samples: the gaps that forgotten requests leave are closed now and then."""

from dataclasses import replace

from pipelines.steps.attribute.memory import Memory
from pipelines.steps.ragged import inverse, moved, offsets_of, runs


def compacted(memory: Memory) -> Memory:
    """The memory with samples moved together once less than half of them are needed.

    A sample moves about once in its life, however many cuts it is remembered for.
    """
    requests, samples = memory.requests, memory.samples
    if 2 * requests.samples.sum() >= len(samples):
        return memory
    rows = runs(requests.first, requests.samples)
    places = inverse(rows, len(samples))
    feedback, credits = memory.feedback, memory.credits
    return replace(
        memory,
        requests=replace(requests, first=offsets_of(requests.samples)[:-1]),
        samples=samples.take(rows),
        feedback=replace(
            feedback,
            flag=moved(feedback.flag, places),
            positive=moved(feedback.positive, places),
        ),
        credits=replace(credits, sample=moved(credits.sample, places)),
    )

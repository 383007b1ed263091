"""The benchmark's world to window files by one process written for it alone: the bar to reach.

Everything in memory, once: read → validate → deduplicate → credit → labels and revisions →
sequences → records → Avro. No epochs, no state to come back to, no late events, nothing durable,
no counts, no other spec than `speed_world`'s, and copies of one time are taken to be equal. What
it writes has the pipeline's schemas and container, so that both can be compared byte for byte.
"""

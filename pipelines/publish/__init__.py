"""Publishing events to Kafka: a topic for each stream, keyed by user, at full or at event speed."""

"""Events in Kafka: a topic for each stream."""

"""A pipeline that follows Kafka beside a producer: how soon it seals, how fast it catches up."""

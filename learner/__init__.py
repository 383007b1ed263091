"""The continuous learner: feed, metrics, checkpoints, registry. No Beam."""

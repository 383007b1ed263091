"""From event streams to sealed windows, on Apache Beam. No torch."""

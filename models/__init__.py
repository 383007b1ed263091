"""Ranking models on one batch contract, in torch. No Beam, no MLflow, no I/O."""

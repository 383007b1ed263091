"""How alike texts are: integer embeddings, exact cosines, the nearest that was there in time."""

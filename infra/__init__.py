"""How the real servers start."""

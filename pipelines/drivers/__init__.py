"""What runs the graph: the direct driver, in bounded epochs on one machine."""

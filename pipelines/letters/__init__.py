"""Dead letters after the pipeline has buried them: looked through, and sent again after a fix."""

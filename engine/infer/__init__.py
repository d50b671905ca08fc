"""Talking to a model: the seam every inference backend fills, the built-in one, and the terminal chat."""

"""The training engine of Tunesmith: arguments, data path, stages, jobs. Knows nothing of the studio."""

__version__ = "0.1.0"

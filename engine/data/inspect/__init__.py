"""Looking at data: `tunesmith data ...`, the answers behind it, the worker that hands them to the studio."""

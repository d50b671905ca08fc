"""A model with adapters as one folder that any tool of the field loads, proven equal before it is shown."""

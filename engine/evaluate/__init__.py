"""Measuring a model on a dataset: how surprised it is by the answers, and how close its own come."""

"""Raw rows -> Examples -> rendered text -> token ids and labels -> packed rows -> batches. `pipeline.py`
strings them together.
"""

"""Jobs: a run in a process of its own, that outlives whoever started it. Start reading at client.py."""

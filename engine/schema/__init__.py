"""Every argument, declared once. Imports nothing heavier than yaml; see arg.py for how to add one."""

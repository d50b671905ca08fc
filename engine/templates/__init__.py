"""Chat templates: the tokenizer's own (native.py) and named ones kept as data (base.py, families/). chat.py
chooses.
"""

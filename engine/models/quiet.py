"""What libraries say among themselves is kept from people who can do nothing about it. Imports none of them.

Try: tunesmith chat --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import warnings


def hush_libraries() -> None:
    """Leave out what they deprecate between each other. For the beginning of a command."""
    warnings.filterwarnings(
        "ignore", category=FutureWarning, module=r"(transformers|peft|accelerate|torch)\b"
    )

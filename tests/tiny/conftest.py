"""The scripts of the tiny model live beside the data, outside any package; tests reach them by folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "data" / "tiny"))

"""The image builder is a script beside the package: its folder joins the path, and so do helpers of these tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "images"), str(Path(__file__).parent)]

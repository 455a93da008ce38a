"""Lets these tests use the host's world of data and the sync's worlds."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "packages" / "pyconvex" / "tests" / "export"))
sys.path.insert(0, str(ROOT / "packages" / "posthog-convex" / "tests" / "warehouse"))
sys.path.insert(0, str(Path(__file__).parent))

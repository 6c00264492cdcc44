from __future__ import annotations

from tests.stories.conftest import sandbox

__all__ = ["sandbox"]

"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

import msgspec

from gateway.web.errors import Answer
from gateway.web.parts import Readiness

RETRY_SECONDS = 5
LIVE = Answer(200, b'{"status":"ok"}')


def ready(readiness: Readiness) -> Answer:
    """200 when an event can be stored, whatever else is degraded; 503 when it cannot."""
    degraded = dict(readiness.degraded)
    if readiness.unavailable is None:
        status = "degraded" if degraded else "ready"
        return Answer(200, msgspec.json.encode({"status": status, "degraded": degraded}))
    body = {"status": "unavailable", "reason": readiness.unavailable, "degraded": degraded}
    return Answer(503, msgspec.json.encode(body), (("retry-after", str(RETRY_SECONDS)),))

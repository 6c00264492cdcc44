"""What the ways in over HTTP need, and nothing more; `wiring.py` fills it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.flow.receive import Intake, Rejections
from gateway.ports import Clock, Source
from gateway.settings import ApiToken, Secret
from gateway.steps.context import StepParts
from gateway.web.choose.brand import PLAIN, Brand
from gateway.web.choose.desk import Desk


@dataclass(frozen=True, slots=True)
class Readiness:
    """unavailable: why no event can be stored now, None when one can.

    degraded: what else is not as it should be, by name (`worker`, `backlog`, `providers`), each with a sentence.
    Both are shown to anybody who asks: no paths, no versions, no tenants.
    """

    unavailable: str | None = None
    degraded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What `/api/v1` works with.   pause: waits so many seconds.   secret_keys: sign links, the newest first."""

    steps: StepParts
    tokens: tuple[ApiToken, ...]
    is_live: bool
    pause: Callable[[float], None]
    secret_keys: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class WebParts:
    """sources: by the name in their address.   readiness: may take as long as a write; called in a thread.

    threads: how many requests Flask may work on at once; webhooks need none of them.
    api: None where there is none.
    trusted_proxies, public_url: how requests reach us, and what outsiders call us.
    desk, brand: of the page where customers choose a number; without a desk there is none.
    """

    sources: Mapping[str, Source]
    intake: Intake
    rejections: Rejections
    readiness: Callable[[], Readiness]
    clock: Clock
    log: logging.Logger
    threads: int = 64
    trusted_proxies: int = 0
    public_url: str | None = None
    api: ApiParts | None = None
    desk: Desk | None = None
    brand: Brand = PLAIN

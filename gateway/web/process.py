"""The worker process of `serve`: settings become a gateway, its scheduler starts and stops with the server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from gateway import logs, wiring
from gateway.errors import StorageUnavailable
from gateway.settings import WebSettings, forget_secrets, load_from_process
from gateway.web import Readiness, WebParts, create_app
from gateway.web.choose.brand import Brand
from gateway.web.choose.desk import Desk
from gateway.web.front import SHUTDOWN_SECONDS, create_front
from gateway.web.parts import ApiParts
from gateway.web.waiting import Waiting


def web_parts(gateway: wiring.Gateway) -> WebParts:
    """What the ways in over HTTP need of a gateway."""
    return WebParts(
        sources=gateway.sources,
        intake=gateway.intake,
        rejections=gateway.rejections,
        readiness=lambda: Readiness(gateway.health.cannot_store(), gateway.health.degraded()),
        clock=gateway.clock,
        log=logging.getLogger("gateway.web"),
        threads=gateway.settings.web.threads,
        trusted_proxies=gateway.settings.web.trusted_proxies,
        public_url=gateway.settings.web.public_url,
        api=ApiParts(
            steps=gateway.steps,
            tokens=gateway.settings.web.api_tokens,
            is_live=gateway.settings.is_live,
            pause=time.sleep,
            secret_keys=gateway.settings.web.secret_keys,
        ),
        desk=desk_of(gateway),
        brand=Brand.of(gateway.settings.brand),
    )


def desk_of(gateway: wiring.Gateway) -> Desk | None:
    keys = gateway.settings.web.secret_keys
    return Desk(gateway.steps, [str(key) for key in keys]) if keys else None


def parts_when_asked() -> tuple[WebSettings, Callable[[], WebParts]]:
    """For a plain WSGI server: settings are read now, all else is built for the first request, and no scheduler.

    Such a server may fork after it has imported the application, and no open database survives that.
    """
    settings = load_from_process()
    logs.set_up(settings)
    lock = threading.Lock()
    made: list[WebParts] = []

    def parts() -> WebParts:
        with lock:
            if not made:
                made.append(web_parts(wiring.open_gateway(settings)))
        return made[0]

    return settings.web, parts


def make_front(with_worker: bool = True) -> Callable[..., Any]:
    """The ASGI application of this process. Secrets leave the environment: a server hands that to every request."""
    settings = load_from_process()
    logs.set_up(settings)

    def open_front() -> Callable[..., Any]:
        gateway = wiring.open_gateway(settings)
        parts = web_parts(gateway)

        def stop() -> None:
            gateway.scheduler.stop(SHUTDOWN_SECONDS - 2)
            gateway.close()

        starts = with_worker and not settings.has_jobs
        return create_front(parts, create_app(parts), gateway.start if starts else None, stop)

    try:
        return open_front()
    except StorageUnavailable as error:
        return Waiting(open_front, str(error), logging.getLogger("gateway.web"))
    finally:
        forget_secrets()


def make_front_without_worker() -> Callable[..., Any]:
    """The same without a scheduler: `work` runs it elsewhere."""
    return make_front(with_worker=False)

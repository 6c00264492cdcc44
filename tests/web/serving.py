"""Small worlds for the tests of this folder: parts without wiring, and factories for real server processes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from gateway.flow.receive import Intake, Rejections, StorageProbe
from gateway.integrations.standard.source import StandardSource
from gateway.integrations.stripe.source import StripeSource
from gateway.ports import Clock, Source
from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase
from gateway.web import Readiness, WebParts, create_app
from gateway.web.front import create_front
from gateway.web.server import bounded_shutdown

STRIPE_SECRET = "whsec_test_secret"
STANDARD_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
DATABASE_VARIABLE = "TEST_SERVING_DATABASE"


class WallClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


def sources() -> Mapping[str, Source]:
    return {"stripe": StripeSource([STRIPE_SECRET]), "standard": StandardSource([STANDARD_SECRET])}


def make_parts(database: Database, clock: Clock, rejections: Rejections | None = None) -> WebParts:
    probe = StorageProbe(database, clock.monotonic)
    return WebParts(
        sources=sources(),
        intake=Intake(database),
        rejections=rejections or Rejections(database),
        readiness=lambda: Readiness(unavailable=probe.problem(clock.now_ms())),
        clock=clock,
        log=logging.getLogger("gateway.web"),
    )


def front() -> Any:
    """A factory for `gateway.web.server.serve`: the front over the database that the environment names."""
    database = SqliteDatabase(Path(os.environ[DATABASE_VARIABLE]))
    migrate(database)
    parts = make_parts(database, WallClock())
    return create_front(parts, create_app(parts), on_shutdown=parts.intake.close)


def bare_flask() -> Flask:
    """What the front is measured against: a view that answers 200 and does nothing."""
    app = Flask("bare")

    @app.post("/webhooks/stripe")
    def nothing() -> tuple[dict[str, str], int]:
        return {"status": "accepted"}, 200

    return app


def front_that_hangs_at_its_end() -> Any:
    """A worker whose step never ends; its time at the end is short."""
    database = SqliteDatabase(Path(os.environ[DATABASE_VARIABLE]))
    migrate(database)
    parts = make_parts(database, WallClock())

    def hang() -> None:
        time.sleep(600)

    threading.Thread(target=hang).start()
    return create_front(parts, create_app(parts), on_shutdown=hang, shutdown_seconds=0.5)


def front_with_an_endless_request() -> Any:
    """A Flask view that never answers, so that the server never gets to say that it stops."""
    database = SqliteDatabase(Path(os.environ[DATABASE_VARIABLE]))
    migrate(database)
    parts = make_parts(database, WallClock())
    app = create_app(parts)

    @app.get("/endless")
    def endless() -> str:
        time.sleep(600)
        return ""

    return bounded_shutdown(create_front(parts, app), seconds=0.5)

"""What every test run says about itself: which kinds of tests this machine cannot run; none may be skipped in CI."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import databases, pooler

# Where tests are about what a gateway does, they run on every kind of database.
ON_BOTH = ("stories", "flow", "steps", "scheduler", "cli", "web", "provisioning")
NOTHING_SKIPPED = os.environ.get("NOTHING_SKIPPED") == "1"


def levels_now() -> dict[str, int]:
    """The level of every logger, to be put back after a test that sets up the program's logs."""
    return {logger.name: logger.level for logger in loggers()}


def put_back_levels(levels: dict[str, int]) -> None:
    for logger in loggers():
        logger.setLevel(levels.get(logger.name, logging.NOTSET))


def loggers() -> list[logging.Logger]:
    named = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    return [logging.root, *named]


def missing() -> list[str]:
    """What this machine lacks, and which tests go without it."""
    found = []
    if not os.environ.get("TEST_POSTGRES_URL"):
        found.append("PostgreSQL tests (TEST_POSTGRES_URL is not set)")
    if pooler.PROGRAM is None:
        found.append("tests through PgBouncer (no pgbouncer found)")
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")):
        found.append("browser tests (no Chromium found; CHROMIUM names one)")
    if not os.path.isdir(os.environ.get("VENDOR_SPECS_DIR", "")):
        found.append("comparisons with vendors' OpenAPI documents (VENDOR_SPECS_DIR is not set)")
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=databases.KINDS, help="run what runs on every database on this one only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = Path(metafunc.definition.path).relative_to(Path(__file__).parent).parts[0]
    is_about_a_file = metafunc.definition.get_closest_marker("sqlite_file") is not None
    # The folder of a test is where its database is, or what is named after it.
    if folder not in ON_BOTH or is_about_a_file or "tmp_path" not in metafunc.fixturenames:
        return
    only = metafunc.config.getoption("--database")
    metafunc.parametrize("database_kind", [only] if only else databases.KINDS, indirect=True)


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which kind of database this test has. Not doubled for tests that ask for none."""
    kind = getattr(request, "param", "sqlite")
    with databases.using(kind):
        yield kind


def pytest_sessionstart(session: pytest.Session) -> None:
    if NOTHING_SKIPPED and missing():
        raise pytest.UsageError(f"Nothing may be skipped here, but these cannot run: {'; '.join(missing())}.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Not at the interpreter's end: a worker of xdist does not come to that.
    databases.LENT.drop_all()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if failed := os.environ.get("FAILED_CHECKS"):
        terminalreporter.write_line(f"Failed before the tests, see above: {failed}.", red=True)
    for what in missing():
        terminalreporter.write_line(f"Skipped on this machine: {what}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(report)
    return report


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NOTHING_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Skipped where nothing may be skipped: {reason}"

"""A whole gateway and the pretend world in one process, under a clock by hand: what stories are told with.

No thread of the scheduler runs: `settle` takes turns and advances tenants itself, and moves the clock to the next
thing that is due, so that a story of forty days takes a moment.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from gateway import wiring
from gateway.domain.model import Delivery, Step, Tenant
from gateway.flow import export, operate
from gateway.flow.advance import Claim, advance
from gateway.flow.probe import probe_refusing
from gateway.flow.receive import read_verified
from gateway.flow.reconcile import Report, reconcile
from gateway.flow.turn import take_turn
from gateway.ports import Deadline, NumberWish, never
from gateway.settings import Compliance, Secret, load, with_world
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.wire import Reply, Request
from gateway.simulator.world import World
from gateway.store import holdings, journal, tenants, watermark
from gateway.store.database import Database, Transaction
from gateway.store.engines import open_database
from gateway.store.sqlite import SqliteDatabase
from tests import databases

WORLD_URL = "http://127.0.0.1:9"
START_MS = 1_795_000_000_000
DAY = 86_400
MOST_TURNS = 4000


class ManualClock:
    """Stands still until it is moved; the world goes with it."""

    def __init__(self) -> None:
        self.at_ms = START_MS
        self.before_next_read: Callable[[], None] | None = None

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000


class EnoughSlots:
    """No process beside this one, and one call after the other."""

    @contextmanager
    def hold(self, provider: str, gives_up: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
        yield never

    def expect_calls(self) -> None:
        """There are always enough."""

    def close(self) -> None:
        """Nothing is held."""


class Crash(BaseException):
    """The process is gone, as by kill -9: nothing after it runs."""


class CrashingWorld(World):
    """A world at whose calls the gateway's process can be made to die, just before or just after the effect."""

    crash_plan: tuple[str, bool, int] | None = None
    intermission: tuple[str, Callable[[], None]] | None = None

    def handle(self, request: Request) -> Reply:
        plan, operation = self.crash_plan, self._operation(request)
        if self.intermission is not None and self.intermission[0] == operation:
            between, self.intermission = self.intermission[1], None
            between()
        if plan is None or operation != plan[0] or self.calls().get(operation, 0) + 1 < plan[2]:
            return super().handle(request)
        if not plan[1]:
            super().handle(request)
        raise Crash


class Sandbox:
    """One installation in its world."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, seed: int = 1) -> None:
        self.folder = folder
        self.clock = ManualClock()
        environ = {
            "GATEWAY_MODE": "sandbox",
            "DATABASE_URL": databases.database_url(folder),
            "RELEASE_AFTER_DAYS": "30",
            **(settings or {}),
        }
        self.settings = with_world(load(environ), WORLD_URL, "test")
        # What this machine keeps for itself stays in the test's folder, whichever database it is.
        self.settings = replace(self.settings, database=replace(self.settings.database, path=folder / "gateway.db"))
        self.world = CrashingWorld(now=self.clock.now_ms, **wiring.world_options(self.settings))
        self.seed = seed
        self.gateway = self._open()

    # --- the process ---------------------------------------------------------------------------------------------

    def _open(self) -> wiring.Gateway:
        database = open_database(self.settings)
        return wiring.build(
            self.settings,
            database,
            clock=self.clock,
            adapter=lambda: WorldAdapter(self.world),
            seed=self.seed,
            slots=EnoughSlots(),
        )

    def close(self) -> None:
        self.gateway.close()
        self.world.close()

    def crash_at(self, operation: str, *, before: bool, nth: int = 1) -> None:
        """Have the process die at the nth call of an operation, just before or just after its effect."""
        self.world.crash_plan = (operation, before, nth)

    def meanwhile(self, operation: str, happens: Callable[[], None]) -> None:
        """Have something happen while the next call of an operation is on its way to the provider."""
        self.world.intermission = (operation, happens)

    def claim(self, owner: str) -> list[Claim]:
        """Lease what is due for a worker, and leave it at that."""
        return list(take_turn(self.gateway.steps, self.gateway.news, owner, 64).claims)

    def advance(self, claims: list[Claim]) -> None:
        for claim in claims:
            advance(self.gateway.steps, claim)

    def turn_and_crash(self, seconds: float = 60) -> bool:
        """Work until the process dies at the planned call: True. A life that never makes that call just goes on."""
        try:
            self.settle(seconds)
        except Crash:
            return True
        finally:
            self.world.crash_plan = None
        return False

    def restart(self) -> None:
        """As after a crash: what was not committed is gone."""
        self.gateway.close()
        self.seed += 1
        self.gateway = self._open()

    def show_papers(self, country: str, number_type: str, **address: str) -> None:
        """Register an address at Twilio, and restart with a compliance file that names it for this kind of number."""
        session = requests.Session()
        session.mount("http://", WorldAdapter(self.world))
        twilio = self.settings.twilio
        made = session.post(
            f"{WORLD_URL}/2010-04-01/Accounts/{twilio.account_sid}/Addresses.json",
            data={"IsoCountry": country, **address},
            auth=(twilio.account_sid, str(twilio.auth_token)),
        )
        shown = Compliance(made.json()["sid"], None)
        self.settings = replace(self.settings, twilio=replace(twilio, compliance={(country, number_type): shown}))
        self.restart()

    def back_up(self) -> str:
        """A backup as an operator makes one; its name."""
        if isinstance(self.database, SqliteDatabase):
            self.database.vacuum_into(self.folder / "backup.db")
            watermark.rise(self.database, self.clock.at_ms)
            return str(self.folder / "backup.db")
        self.gateway.close()
        name = databases.LENT.copy(self.folder)
        self.gateway = self._open()
        return name

    def put_back(self, backup: str) -> None:
        """As an operator would: stop everything, put the old state in its place, start again."""
        self.gateway.close()
        if databases.is_postgres():
            databases.LENT.put_back(self.folder, backup)
            conninfo = Secret(databases.database_url(self.folder))
            self.settings = replace(self.settings, database=replace(self.settings.database, conninfo=conninfo))
            self.gateway = self._open()
            return
        path = self.settings.database.path
        for leftover in path.parent.glob(f"{path.name}-*"):
            leftover.unlink()
        shutil.copyfile(backup, path)
        self.gateway = self._open()

    @property
    def database(self) -> Database:
        return self.gateway.database

    # --- webhooks ------------------------------------------------------------------------------------------------

    def deliver(self, name: str, tenant: str | None = "acme", **given: Any) -> dict[str, int]:
        """One signed event of the tenant's life at Stripe, sent and stored; gives what became of it."""
        return self.send(self.event(name, tenant, **given))

    def event(self, name: str, tenant: str | None = "acme", **given: Any) -> dict[str, Any]:
        """A signed event, not sent. `set`: path -> value inside its object."""
        order: dict[str, Any] = {"name": name, **given}
        if tenant is not None:
            order["tenant"] = tenant
        made: dict[str, Any] = self.world.delivery(order)
        return made

    def send(self, event: Mapping[str, Any]) -> dict[str, int]:
        headers = {name.lower(): value for name, value in event["headers"].items()}
        body = event["body"].encode() if isinstance(event["body"], str) else event["body"]
        delivery = Delivery("stripe", headers, body, self.clock.at_ms)
        source = self.gateway.sources["stripe"]
        receipt = self.gateway.intake.call(read_verified(source, delivery, self.clock.at_ms))
        return {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "conflicts": receipt.conflicts}

    # --- work ----------------------------------------------------------------------------------------------------

    def turn(self, owner: str = "worker-1") -> int:
        """One turn: apply, claim, advance what was claimed; how many tenants were worked for."""
        gateway = self.gateway
        found = take_turn(gateway.steps, gateway.news, owner, 64)
        for claim in found.claims:
            advance(gateway.steps, claim)
        return len(found.claims)

    def work(self) -> None:
        """Do everything that is due now, without moving the clock."""
        for _ in range(MOST_TURNS):
            before = self.next_due_ms()
            if self.turn() == 0 and not self._has_news():
                return
            if before is not None and before > self.clock.at_ms:
                return
        raise AssertionError("the gateway never comes to rest")

    def settle(self, seconds: float = 3600) -> None:
        """Work, moving the clock from one due moment to the next, until nothing is due within `seconds`."""
        end_ms = self.clock.at_ms + int(seconds * 1000)
        for _ in range(MOST_TURNS):
            self.turn()
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > end_ms:
                return
            if due_ms > self.clock.at_ms:
                self.clock.at_ms = due_ms
        raise AssertionError("the gateway never comes to rest")

    def wait(self, *, days: float = 0, seconds: float = 0) -> None:
        """Let time pass, with the gateway at work all along."""
        end_ms = self.clock.at_ms + int((days * DAY + seconds) * 1000)
        self.settle((end_ms - self.clock.at_ms) / 1000)
        self.clock.at_ms = end_ms
        self.settle(0)

    def next_due_ms(self) -> int | None:
        with self.database.read() as tx:
            row = tx.one(
                """SELECT MIN(at_ms) AS at_ms FROM (
                     SELECT MIN(next_run_at_ms) AS at_ms FROM tenants WHERE next_run_at_ms IS NOT NULL
                     UNION ALL SELECT MIN(try_at_ms) FROM inbox WHERE try_at_ms IS NOT NULL
                     UNION ALL SELECT MIN(received_at_ms) FROM inbox WHERE status = 'new') AS each_once"""
            )
        return row["at_ms"] if row else None

    def _has_news(self) -> bool:
        with self.database.read() as tx:
            return tx.one("SELECT 1 AS one FROM inbox WHERE status = 'new' LIMIT 1") is not None

    # --- looking -------------------------------------------------------------------------------------------------

    def tenant(self, key: str = "acme") -> Tenant:
        with self.database.read() as tx:
            found = tenants.by_key(tx, key)
        assert found is not None, f"no tenant {key}"
        return found

    def known(self, key: str) -> bool:
        with self.database.read() as tx:
            return tenants.by_key(tx, key) is not None

    def export(self, key: str = "acme") -> dict[str, Any]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return export.line(tx, tenant, self.gateway.rules)

    def held(self, key: str = "acme") -> dict[Step, Any]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return holdings.of_tenant(tx, tenant.id)

    def timeline(self, key: str = "acme") -> list[str]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return [f"{line['kind']} {line['name']}" for line in journal.of_tenant(tx, tenant.id)]

    def query(self, question: Callable[[Transaction], Any]) -> Any:
        with self.database.read() as tx:
            return question(tx)

    def numbers(self) -> list[dict[str, Any]]:
        """What really is in the Twilio account."""
        return (
            list(self.world.state()["numbers"].values())
            if isinstance(self.world.state()["numbers"], dict)
            else list(self.world.state()["numbers"])
        )

    def entries(self) -> list[dict[str, Any]]:
        """What Vapi really has."""
        found = self.world.state()["entries"]
        return list(found.values()) if isinstance(found, dict) else list(found)

    def purchases(self) -> list[dict[str, Any]]:
        return self.world.purchases()

    def calls(self, operation: str) -> int:
        """How often an operation was called."""
        return int(self.world.calls().get(operation, 0))

    def for_sale(self, area_code: str = "415") -> str:
        """A number that can be bought now."""
        found = self.gateway.steps.telephony.search(
            NumberWish("US", area_code=area_code), 1, Deadline(self.clock.monotonic() + 60, self.clock.at_ms + 60_000)
        )
        return found[0].number

    def operate(self, action: str, *given: Any, key: str = "acme") -> None:
        """An operator's action: `set`, `retry`, `redo`, or `hold` with a Hold or None."""
        who = operate.Operator("tester", "a story")
        calls: dict[str, Callable[..., Tenant]] = {
            "set": operate.set_options,
            "retry": operate.retry,
            "redo": operate.redo,
            "hold": operate.hold,
        }
        call = calls[action]
        self.gateway.steps.commit(lambda tx: call(tx, key, *given, self.gateway.rules, who, self.clock.at_ms))

    def retry_blocked(self, code: str) -> None:
        who = operate.Operator("tester", "a story")
        rules, now_ms = self.gateway.rules, self.clock.at_ms
        self.gateway.steps.commit(lambda tx: operate.retry_blocked(tx, code, rules, who, now_ms))

    def probe(self) -> list[str]:
        return probe_refusing(self.gateway.steps)

    def reconcile(self, *, apply: bool = True) -> Report:
        return reconcile(self.gateway.steps, apply=apply)

    def reconcile_and_settle(self) -> None:
        """What the scheduler does every five minutes, once nothing young is left."""
        self.wait(seconds=1200)
        self.reconcile()
        self.settle(3600)

    def world_call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A call of the world's own control, as somebody at a vendor's console would act."""
        request = Request(method, f"/_world/{path}", "", json.dumps(body or {}).encode(), "")
        reply = self.world.handle(request)
        assert reply.status < 400, reply.body
        return json.loads(reply.body) if reply.body else None

    def delete_entry(self, entry_id: str) -> None:
        self.world_call("DELETE", f"entries/{entry_id}")

    def change_entry(self, entry_id: str, **fields: Any) -> None:
        """As somebody would in Vapi's dashboard."""
        headers = {"Authorization": f"Bearer {self.settings.vapi.api_key}"}
        session = requests.Session()
        session.mount("http://", WorldAdapter(self.world))
        answer = session.patch(
            f"{WORLD_URL}/phone-number/{entry_id}", json={"provider": "twilio", **fields}, headers=headers
        )
        assert answer.status_code == 200, answer.text

    def delete_number(self, sid: str) -> None:
        self.world_call("DELETE", f"numbers/{sid}")

    def rename_number(self, sid: str, name: str) -> None:
        """As somebody would at Twilio's console."""
        ms = self.clock.at_ms + 60_000
        self.gateway.steps.telephony.rename(sid, name, Deadline(ms / 1000, ms))

    def set_voice_url(self, url: str, key: str = "acme") -> None:
        """As somebody would at Twilio's console; empty: the number's calls go nowhere."""
        twilio = self.settings.twilio
        session = requests.Session()
        session.mount("http://", WorldAdapter(self.world))
        path = f"/2010-04-01/Accounts/{twilio.account_sid}/IncomingPhoneNumbers/{self.export(key)['twilio_sid']}.json"
        login = (twilio.account_sid, str(twilio.auth_token))
        answer = session.post(f"{WORLD_URL}{path}", data={"VoiceUrl": url}, auth=login)
        assert answer.status_code == 200, answer.text

    def fault(self, operation: str, kind: str, **given: Any) -> None:
        self.world.add_fault({"operation": operation, "kind": kind, **given})

    def show(self) -> str:
        return json.dumps(self.world.state(), indent=1, default=str)


__all__ = ["DAY", "START_MS", "ManualClock", "Sandbox", "replace"]

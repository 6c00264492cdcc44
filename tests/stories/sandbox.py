"""What stories are told with: the test kit's installation (`gateway.testing`), whose process can also die."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from gateway.domain.model import Step, Tenant
from gateway.flow import operate
from gateway.flow.advance import Claim, advance
from gateway.flow.probe import probe_refusing
from gateway.flow.reconcile import Report, reconcile
from gateway.flow.turn import take_turn
from gateway.ports import Deadline, NumberWish
from gateway.settings import Compliance, Secret
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.wire import Reply, Request
from gateway.simulator.world import World
from gateway.store import holdings, journal, watermark
from gateway.store.sqlite import SqliteDatabase
from gateway.testing.sandbox import DAY, START_MS, WORLD_URL, EnoughSlots, Installation, ManualClock
from tests import databases


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


class Sandbox(Installation):
    """One installation in its world, on the kind of database that this test is about."""

    world: CrashingWorld

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, seed: int = 1) -> None:
        self.folder = folder
        environ = {"DATABASE_URL": databases.database_url(folder), "RELEASE_AFTER_DAYS": "30", **(settings or {})}
        super().__init__(folder, environ, seed, world=CrashingWorld)

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

    # --- looking -------------------------------------------------------------------------------------------------

    def held(self, key: str = "acme") -> dict[Step, Any]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return holdings.of_tenant(tx, tenant.id)

    def timeline(self, key: str = "acme") -> list[str]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return [f"{line['kind']} {line['name']}" for line in journal.of_tenant(tx, tenant.id)]

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

    def show(self) -> str:
        return json.dumps(self.world.state(), indent=1, default=str)


__all__ = ["DAY", "START_MS", "WORLD_URL", "EnoughSlots", "ManualClock", "Sandbox", "replace"]

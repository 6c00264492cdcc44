"""Sends customers' webhooks as Stripe does: signed anew at each try, until somebody answers 200."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.integrations.stripe.simulator import sign
from gateway.simulator import defaults
from tests.chaos.customers import EVENTS_APART_MS, Customer
from tests.chaos.installation import Installation
from tests.chaos.processes import Answer, ask

FIRST_EVENT_AGO_MS = 600_000


@dataclass(frozen=True, slots=True)
class Made:
    """An event that exists at Stripe."""

    event_id: str
    body: bytes


class Sender:
    """Tells the stories of all customers, each in a thread of its own."""

    def __init__(self, installation: Installation, seed: str) -> None:
        self._installation = installation
        self._seed = seed
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.ports: list[int] = [web.port for web in installation.webs]
        self.acknowledged: dict[str, str] = {}
        self._taken_by: dict[str, int] = {}
        self.sent = 0
        self.refused: list[tuple[str, int, bytes]] = []
        self.gives_up = threading.Event()

    def tell(self, customer: Customer) -> None:
        """Begin to tell one customer's story."""
        thread = threading.Thread(target=self._tell, args=(customer,), daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def is_done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self, seconds: float) -> bool:
        """Whether every event of every story was acknowledged within the time."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.is_done

    def _tell(self, customer: Customer) -> None:
        made = self._make(customer)
        random = Random(f"{self._seed}/{customer.key}")
        for place, index in enumerate(customer.order):
            time.sleep(customer.pauses[place])
            self._send(customer.key, made[index], random)
        for index in customer.repeats:
            time.sleep(random.random())
            self._send(customer.key, made[index], random, is_repeat=True)

    def _make(self, customer: Customer) -> list[Made]:
        """All events of the story, in the order in which they happened."""
        first_ms = self._installation.now_ms() - FIRST_EVENT_AGO_MS
        made = []
        for index, name in enumerate(customer.events):
            order: dict[str, Any] = {"name": name, "tenant": customer.key, "at_ms": first_ms + index * EVENTS_APART_MS}
            order["carry"] = list(customer.carry)
            if customer.number is not None:
                order["metadata"] = {"phone_number": customer.number}
            delivery = self._installation.world.ask("POST", "/stripe/deliveries", order)
            made.append(Made(delivery["event_id"], delivery["body"].encode()))
        return made

    def _send(self, key: str, made: Made, random: Random, *, is_repeat: bool = False) -> None:
        """To any web until it is taken; what is repeated, to another one than took it, where there is one."""
        pause = 0.05
        while not self.gives_up.is_set():
            others = [port for port in self.ports if port != self._taken_by.get(made.event_id)] if is_repeat else []
            port = random.choice(others or self.ports)
            if self._try(key, made, port):
                self._taken_by[made.event_id] = port
                return
            time.sleep(pause * (1 + random.random()))
            pause = min(0.5, pause * 2)

    def _try(self, key: str, made: Made, port: int) -> bool:
        answer = post(port, made.body, self._installation.now_ms())
        with self._lock:
            self.sent += 1
            if answer.status == 200:
                self.acknowledged[made.event_id] = key
            elif answer.status not in (0, 503):
                self.refused.append((made.event_id, answer.status, answer.body))
        return answer.status == 200


def post(port: int, body: bytes, now_ms: int) -> Answer:
    """One delivery, signed now."""
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": sign(body, [defaults.STRIPE_WEBHOOK_SECRET], now_ms // 1000),
    }
    return ask(port, "POST", "/webhooks/stripe", body, headers)

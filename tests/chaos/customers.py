"""What customers do in a chaos run, and the dumb model of what must become of each.

A story is a list of Stripe events with times of their own, two seconds apart, long before they are sent. So the end
depends on what was said and not on when, in which order or how often it arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

ACTIVE, SUSPENDED, RELEASED, NEW = "active", "suspended", "released", "new"

SIGNUP = ("checkout.completed", "subscription.created", "invoice.paid")
FAILS = ("invoice.payment_failed", "subscription.past_due")
RECOVERS = ("invoice.paid", "subscription.active")

# name -> (how often, the events, where the tenant must end)
STORIES: dict[str, tuple[int, tuple[str, ...], str]] = {
    "signs up": (10, SIGNUP, ACTIVE),
    "signs up, one event": (6, ("checkout.completed",), ACTIVE),
    "fails to pay and recovers": (5, (*SIGNUP, *FAILS, *RECOVERS), ACTIVE),
    "fails to pay for good": (5, (*SIGNUP, *FAILS), SUSPENDED),
    "is unpaid, then ends": (3, (*SIGNUP, *FAILS, "subscription.unpaid", "subscription.deleted"), RELEASED),
    "pauses": (3, (*SIGNUP, "subscription.paused"), SUSPENDED),
    "pauses and resumes": (3, (*SIGNUP, "subscription.paused", "subscription.resumed"), ACTIVE),
    "cancels": (7, (*SIGNUP, "subscription.deleted"), RELEASED),
    "cancels at once": (4, ("checkout.completed", "subscription.deleted"), RELEASED),
    "cancels and returns": (8, (*SIGNUP, "subscription.deleted", *SIGNUP), ACTIVE),
    "returns and cancels again": (
        4,
        (*SIGNUP, "subscription.deleted", *SIGNUP, "subscription.deleted"),
        RELEASED,
    ),
    "returns twice": (
        3,
        (*SIGNUP, "subscription.deleted", *SIGNUP, "subscription.deleted", "checkout.completed"),
        ACTIVE,
    ),
    "pays late": (
        2,
        (
            "checkout.unpaid",
            "subscription.created",
            "checkout.async_payment_succeeded",
            "subscription.active",
            "invoice.paid",
        ),
        ACTIVE,
    ),
    "never pays": (2, ("checkout.unpaid", "checkout.async_payment_failed"), NEW),
}
EVENTS_APART_MS = 2000
# Where the tenant's key travels: on the checkout session, its client_reference_id, the subscription.
EVERYWHERE = ("session", "subscription")


@dataclass(slots=True)
class Customer:
    """One tenant's story.

    number: exactly this one was asked for.   ends: the state it must end in.   may_lose: its number may go to
    somebody else, so that `number_taken` is right, too.   must_lose: it is somebody else's from the start.
    carry: where its key is told.   pauses: seconds before each event is sent, in the order of sending.
    """

    key: str
    story: str
    events: list[str]
    ends: str
    number: str | None = None
    may_lose: bool = False
    must_lose: bool = False
    carry: tuple[str, ...] = EVERYWHERE
    pauses: list[float] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)


def invent(random: Random, index: int, for_sale: list[str], foreign: list[str]) -> Customer:
    """A customer with a story.

    for_sale: numbers that can be asked for.   foreign: numbers that are somebody else's.
    """
    key = f"t{index:03d}"
    special = random.random()
    if special < 0.04 and foreign:
        number = random.choice(foreign)
        customer = Customer(key, "asks for somebody else's number", ["checkout.completed"], ACTIVE, number)
        customer.may_lose = customer.must_lose = True
    elif special < 0.14 and for_sale:
        # Often the same few, so that two ask for one.
        number = random.choice(for_sale[:4])
        customer = Customer(key, "asks for a number", list(SIGNUP), ACTIVE, number, may_lose=True)
    else:
        names = list(STORIES)
        story = random.choices(names, [STORIES[name][0] for name in names])[0]
        _, events, ends = STORIES[story]
        customer = Customer(key, story, list(events), ends)
    if customer.number is None:
        # A wish must be told by whatever comes first.
        customer.carry = random.choices(
            (EVERYWHERE, ("session",), ("reference",), ("subscription",)),
            (12, 2, 2, 3 if has_one_life(customer) else 0),
        )[0]
    plan_sending(random, customer)
    return customer


def has_one_life(customer: Customer) -> bool:
    """One subscription, with events of its own: else a key that only subscriptions carry may come too late."""
    names = customer.events
    return names.count("checkout.completed") <= 1 and any(name.startswith("subscription.") for name in names)


def invent_hasty(random: Random, index: int, ends: str) -> Customer:
    """A customer who ends there without delay."""
    names = [name for name, (_, _, end) in STORIES.items() if end == ends]
    name = random.choice(names)
    customer = Customer(f"t{index:03d}", name, list(STORIES[name][1]), ends)
    customer.order = list(range(len(customer.events)))
    customer.pauses = [0.0] * len(customer.events)
    return customer


def plan_sending(random: Random, customer: Customer) -> None:
    """In which order and how fast its events are sent, and which of them twice."""
    count = len(customer.events)
    customer.order = list(range(count))
    mood = random.random()
    if mood < 0.15:
        random.shuffle(customer.order)
    elif mood < 0.35 and count > 1:
        at = random.randrange(count - 1)
        customer.order[at], customer.order[at + 1] = customer.order[at + 1], customer.order[at]
    haste = random.choice((0.0, 0.3, 1.0, 2.5, 5.0))
    customer.pauses = [random.random() * haste for _ in range(count)]
    customer.repeats = [each for each in range(count) if random.random() < 0.2]

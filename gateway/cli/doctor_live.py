"""What `doctor --live` asks the providers: nothing is bought, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from gateway.cli.doctor import Finding
from gateway.cli.opening import opened
from gateway.errors import GatewayError
from gateway.integrations.http import Http
from gateway.ports import Deadline, NumberWish, never
from gateway.settings import Settings
from gateway.vendors import assistants_of, billing_of, telephony_of
from gateway.wiring import SystemClock, slot_keeper, with_pretend_world

ASKED_SUBSCRIPTION = "sub_ringfence_doctor"


def about_providers(settings: Settings) -> Iterator[Finding]:
    """One search and one account read, one assistant read, one list, and which mode Stripe's key is for."""
    settings = with_pretend_world(settings)
    clock = SystemClock()
    http = Http(clock)
    seconds = settings.times.provider_timeout_seconds
    try:
        for vendor, about in (("twilio", about_twilio), ("vapi", about_vapi), ("stripe", about_stripe)):
            with a_slot(settings, vendor) as is_lost:

                def deadline(is_lost: Callable[[], bool] = is_lost) -> Deadline:
                    return Deadline(clock.monotonic() + seconds, clock.now_ms() + round(seconds * 1000), is_lost)

                yield from about(settings, http, deadline)
    finally:
        http.close()


@contextmanager
def a_slot(settings: Settings, vendor: str) -> Iterator[Callable[[], bool]]:
    """Hold one of the calls that all processes together may make; without a database nobody else makes any."""
    with ExitStack() as stack:
        try:
            slots = slot_keeper(settings, stack.enter_context(opened(settings)).database, [])
            stack.callback(slots.close)
            is_lost = stack.enter_context(slots.hold(vendor, never))
        except GatewayError:
            # What is wrong with the database has its own line.
            is_lost = never
        yield is_lost


def about_twilio(settings: Settings, http: Http, deadline: Callable[[], Deadline]) -> Iterator[Finding]:
    telephony = telephony_of(settings, http)
    signup = settings.signup
    wish = NumberWish(signup.default_country, signup.default_number_type)
    try:
        telephony.check_account(deadline())
        found = telephony.search(wish, 1, deadline())
    except GatewayError as error:
        yield Finding("twilio", False, str(error))
        return
    kind = f"{wish.number_type} numbers in {wish.country}"
    yield Finding(
        "twilio", True, f"account active; {kind} are for sale" if found else f"account active; no {kind} now"
    )


def about_vapi(settings: Settings, http: Http, deadline: Callable[[], Deadline]) -> Iterator[Finding]:
    assistants = assistants_of(settings, http)
    assistant_id = settings.vapi.assistant_id
    try:
        assistants.check_account(deadline())
        yield Finding("vapi", True, "numbers can be listed")
        if assistant_id is not None:
            exists = assistants.assistant_exists(assistant_id, deadline())
            says = "the default assistant exists" if exists else f"there is no assistant {assistant_id}"
            yield Finding("VAPI_ASSISTANT_ID", exists, says)
    except GatewayError as error:
        yield Finding("vapi", False, str(error))


def about_stripe(settings: Settings, http: Http, deadline: Callable[[], Deadline]) -> Iterator[Finding]:
    stripe = settings.stripe
    if not stripe.webhook_secrets:
        return
    billing = billing_of(settings, http)
    if billing is None or stripe.api_key is None:
        says = f"STRIPE_LIVEMODE={stripe.livemode}; whose mode the secret is, only an event or STRIPE_API_KEY can tell"
        yield Finding("stripe", None, says)
        return
    try:
        billing.read_subscription(ASKED_SUBSCRIPTION, deadline())
    except GatewayError as error:
        yield Finding("stripe", False, str(error))
        return
    mode = "true" if "_live_" in stripe.api_key[:8] else "false"
    fits = stripe.livemode in ("any", mode)
    says = f"the key works and is for {'live' if mode == 'true' else 'test'} mode"
    yield Finding("stripe", fits, says if fits else f"{says}, but STRIPE_LIVEMODE is {stripe.livemode}")

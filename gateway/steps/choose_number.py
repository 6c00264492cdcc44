"""Commit to one number, before any money moves: a crash here costs nothing."""

from __future__ import annotations

from gateway.domain import options
from gateway.domain.model import Blocked, Extent, Intent, Options, Step, Wanted
from gateway.domain.rules import answering_for
from gateway.errors import OptionsInvalid
from gateway.ports import NumberWish
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.store import intents, subscriptions
from gateway.store.database import IntegrityError, Transaction

SEARCH_LIMIT = 30


def choose(ctx: Context) -> Intent:
    """The number this tenant is committed to from now on. Raises Halted when there is none to be had."""
    wish = options_of(ctx)
    if wish.choose and wish.phone_number is None:
        raise Halted(awaiting_choice(ctx))
    require_assistant(ctx, wish)
    if ctx.read_one(lambda tx: intents.candidates_used(tx, ctx.tenant)) >= ctx.rules.most_candidates:
        raise Halted(no_numbers(ctx, wish, "three candidates were refused"))
    if wish.phone_number is not None:
        return commit_to(ctx, wish, [wish.phone_number])
    return commit_to(ctx, wish, candidates(ctx, wish))


def options_of(ctx: Context) -> Options:
    """What the signup asked for, checked; an option that makes no sense halts, and names its key."""
    merged = ctx.read_one(lambda tx: options.merge(subscriptions.options_of(tx, ctx.tenant.id)))
    try:
        return options.parse(merged, ctx.rules)
    except OptionsInvalid as error:
        key = ctx.tenant.tenant_key
        message = (
            f"{key} cannot get a number: the option {error.key} makes no sense. {error} Nothing was bought. "
            f'Correct it: python -m gateway tenants set {key} {error.key}=… --reason "corrected"'
        )
        raise Halted(Outcome("options_invalid", halt=Halt(Blocked.OPTIONS_INVALID, message))) from error


def require_assistant(ctx: Context, wish: Options) -> None:
    """No number is bought for an assistant that does not exist. Raises Halted."""
    extent = ctx.tenant.extent
    if extent is Extent.NUMBER:
        return
    assistant_id = answering_for(ctx.tenant.tenant_key, wish, Wanted.ACTIVE, ctx.rules).assistant_id
    if assistant_id is None and extent is not Extent.FULL:
        return
    if assistant_id is not None and ctx.ask(
        ctx.assistants.provider, lambda deadline: ctx.assistants.assistant_exists(assistant_id, deadline)
    ):
        return
    raise Halted(Outcome("needs_assistant", halt=needs_assistant(ctx, assistant_id)))


def needs_assistant(ctx: Context, assistant_id: str | None) -> Halt:
    key = ctx.tenant.tenant_key
    what = f"Vapi has no assistant {assistant_id}" if assistant_id else "no assistant is named"
    message = (
        f"{key} waits: {what}. Nothing was bought. Make it at Vapi and it goes on by itself, or name another: "
        f'python -m gateway tenants set {key} assistant_id=… --reason "…"'
    )
    return Halt(Blocked.NEEDS_ASSISTANT, message, ctx.now_ms() + ctx.rules.recheck_ms)


def candidates(ctx: Context, wish: Options) -> list[str]:
    """Numbers for sale that nobody of ours is committed to or was refused, in random order.

    Random, so that tenants who search at the same time do not all choose the first.
    """
    country = wish.country or ctx.rules.default_country
    number_type = wish.number_type or ctx.rules.default_number_type
    asked = NumberWish(
        country=country,
        number_type=number_type,
        has_address=ctx.rules.papers_for(country, number_type).address_sid is not None,
        area_code=wish.area_code,
        contains=wish.contains,
        locality=wish.locality,
    )
    found = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.search(asked, SEARCH_LIMIT, deadline))
    since_ms = ctx.now_ms() - ctx.rules.watch_ms

    numbers = [each.number for each in found]
    passed_over = ctx.read_one(lambda tx: intents.passed_over(tx, numbers, since_ms)) if numbers else set()
    free = [number for number in numbers if number not in passed_over]
    ctx.parts.random.shuffle(free)
    return free


def commit_to(ctx: Context, wish: Options, numbers: list[str]) -> Intent:
    """The first number that no other tenant took in the meantime; the database decides."""
    for number in numbers:

        def chosen(tx: Transaction, number: str = number) -> Intent:
            now_ms = ctx.now_ms()
            intent = intents.choose(
                tx,
                ctx.tenant,
                number,
                ctx.tag,
                is_exact=wish.phone_number is not None,
                country=wish.country or ctx.rules.default_country,
                number_type=wish.number_type or ctx.rules.default_number_type,
                now_ms=now_ms,
            )
            ctx.note(tx, now_ms, "number.chosen", number=number, step=Step.BUY_NUMBER)
            return intent

        try:
            return ctx.commit(chosen)
        except IntegrityError:
            continue
    if wish.phone_number is not None:
        raise Halted(number_taken(ctx, wish.phone_number))
    raise Halted(no_numbers(ctx, wish, "Twilio has none free that fits"))


def number_taken(ctx: Context, number: str) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} asked for exactly {number}, and another tenant has it or is buying it. Nothing was bought. "
        f'Choose another: python -m gateway tenants set {key} phone_number=+… --reason "taken"'
    )
    return Outcome("number_taken", {"number": number}, halt=Halt(Blocked.NUMBER_TAKEN, message))


def no_numbers(ctx: Context, wish: Options, why: str) -> Outcome:
    key = ctx.tenant.tenant_key
    asked = ", ".join(
        f"{name} {value}"
        for name, value in (
            ("country", wish.country or ctx.rules.default_country),
            ("type", wish.number_type or ctx.rules.default_number_type),
            ("area code", wish.area_code),
            ("containing", wish.contains),
            ("locality", wish.locality),
        )
        if value
    )
    message = (
        f"{key} is waiting for a number ({asked}): {why}. Nothing was bought. "
        f'Ask for another: python -m gateway tenants set {key} area_code=406 --reason "none left"'
    )
    return Outcome("no_numbers", halt=Halt(Blocked.NO_NUMBERS, message))


def awaiting_choice(ctx: Context) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} waits for its customer to choose a number. Nothing was bought. A link for them: "
        f"python -m gateway tenants choose-link {key}. To choose for them: "
        f'python -m gateway tenants set {key} phone_number=+… --reason "chosen by phone"'
    )
    return Outcome("awaiting_choice", halt=Halt(Blocked.AWAITING_CHOICE, message))

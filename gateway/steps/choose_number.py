"""Commit to one number, before any money moves: a crash here costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain import options
from gateway.domain.model import Blocked, Extent, Intent, Options, Step, Wanted
from gateway.domain.papers import NO_ADDRESS, WITHOUT_PAPERS, satisfies
from gateway.domain.rules import answering_for
from gateway.errors import OptionsInvalid
from gateway.ports import AvailableNumber, NumberWish
from gateway.steps import find_numbers, papers, prices, register_address
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.store import intents, subscriptions
from gateway.store.database import IntegrityError, Transaction


def choose(ctx: Context) -> Intent:
    """The number this tenant is committed to from now on. Raises Halted when there is none to be had.

    Papers and price are settled before: whatever is missing, no number is committed and nothing is bought.
    """
    wish = options_of(ctx)
    if wish.choose and wish.phone_number is None:
        raise Halted(awaiting_choice(ctx))
    kind = kind_of(ctx, wish)
    bundle = papers.plan_bundle(ctx, wish, kind)
    if ctx.tenant.block is not None and ctx.tenant.block.code is Blocked.NEEDS_BUNDLE:
        # The rest was in order when it was blocked: to look at it each minute would only cost calls.
        papers.require_bundle(ctx, kind, bundle)
    require_assistant(ctx, wish)
    if ctx.read_one(lambda tx: intents.candidates_used(tx, ctx.tenant)) >= ctx.rules.most_candidates:
        raise Halted(no_numbers(ctx, wish, "three candidates were refused"))
    prices.require_price(ctx, *kind)
    found = exactly(ctx, wish.phone_number, kind) if wish.phone_number else candidates(ctx, wish, kind)
    if not found.numbers and wish.phone_number is None:
        raise Halted(no_numbers(ctx, wish, "Twilio has none free that fits", found.tried))
    address, sid = shown_address(ctx, wish, kind, bundle, found.numbers)
    numbers = [each.number for each in found.numbers if is_fit(each, address, kind)]
    chosen = Chosen([wish.phone_number] if wish.phone_number else numbers, kind, sid, bundle.sid, found.tried)
    return commit_to(ctx, wish, chosen)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Numbers of which the first free one is committed to, and the papers that its purchase shows."""

    numbers: list[str]
    kind: tuple[str, str]
    address_sid: str | None
    bundle_sid: str | None
    tried: tuple[find_numbers.Tried, ...] = ()


def shown_address(
    ctx: Context, wish: Options, kind: tuple[str, str], bundle: papers.BundlePlan, numbers: list[AvailableNumber]
) -> tuple[papers.AddressPlan, str | None]:
    """The address for these numbers, and its SID, put on file if need be; none of them: of an exact number.

    Raises Halted while an address or a bundle is missing.
    """
    requirements = [each.address_requirements for each in numbers]
    if not requirements and kind[0] in WITHOUT_PAPERS:
        requirements = [NO_ADDRESS]
    address = papers.plan_address(ctx, wish, kind, requirements, bundle)
    papers.require_bundle(ctx, kind, bundle)
    sid = address.sid if address.words is None else register_address.on_file(ctx, address.words, kind)
    return address, sid


def kind_of(ctx: Context, wish: Options) -> tuple[str, str]:
    """(country, number type) that is wished for. Raises Halted for an exact number that cannot be of that country."""
    country = wish.country or ctx.rules.default_country
    if wish.phone_number and country in options.AREA_CODE_COUNTRIES and not wish.phone_number.startswith("+1"):
        why = f"country is {country}, and the number that was asked for is not from there."
        raise Halted(options_invalid(ctx, "country", why))
    return country, wish.number_type or ctx.rules.default_number_type


def is_fit(number: AvailableNumber, address: papers.AddressPlan, kind: tuple[str, str]) -> bool:
    """Whether this number can be bought with this address."""
    if number.address_requirements == NO_ADDRESS:
        return True
    return address.country is not None and satisfies(number.address_requirements, address.country, kind[0])


def options_of(ctx: Context) -> Options:
    """What the signup asked for, checked; an option that makes no sense halts, and names its key."""
    merged = ctx.read_one(lambda tx: options.merge(subscriptions.options_of(tx, ctx.tenant.id)))
    try:
        return options.parse(merged, ctx.rules)
    except OptionsInvalid as error:
        raise Halted(options_invalid(ctx, error.key, str(error))) from error


def options_invalid(ctx: Context, option: str, why: str) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} cannot get a number: the option {option} makes no sense. {why} Nothing was bought. "
        f'Correct it: python -m gateway tenants set {key} {option}=… --reason "corrected"'
    )
    return Outcome("options_invalid", halt=Halt(Blocked.OPTIONS_INVALID, message))


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


def candidates(ctx: Context, wish: Options, kind: tuple[str, str]) -> find_numbers.Found:
    """Numbers for sale that fit, fall-backs included.

    Where numbers are sold without papers, those that want an address are left out unless one is named.
    """
    has_address = kind[0] not in WITHOUT_PAPERS or named_address(ctx, wish, kind) is not None
    return find_numbers.find(ctx, find_numbers.asked_for(ctx, wish, kind, has_address=has_address))


def named_address(ctx: Context, wish: Options, kind: tuple[str, str]) -> str | None:
    return wish.address_sid or ctx.rules.papers_for(*kind).address_sid


def exactly(ctx: Context, number: str, kind: tuple[str, str]) -> find_numbers.Found:
    """What the provider says of an exact number; nothing where it does not show it, or nothing has to be shown."""
    if kind[0] in WITHOUT_PAPERS:
        return find_numbers.Found([])
    asked = NumberWish(kind[0], kind[1], contains=number[1:], has_address=True)
    found = find_numbers.search(ctx, asked, find_numbers.ASKED_ABOUT)
    return find_numbers.Found([each for each in found if each.number == number])


def commit_to(ctx: Context, wish: Options, chosen: Chosen) -> Intent:
    """The first number that no other tenant took in the meantime; the database decides."""
    for number in chosen.numbers:

        def choose_it(tx: Transaction, number: str = number) -> Intent:
            now_ms = ctx.now_ms()
            intent = intents.choose(
                tx,
                ctx.tenant,
                number,
                ctx.tag,
                is_exact=wish.phone_number is not None,
                country=chosen.kind[0],
                number_type=chosen.kind[1],
                now_ms=now_ms,
                address_sid=chosen.address_sid,
                bundle_sid=chosen.bundle_sid,
            )
            find_numbers.note_tried(ctx, tx, now_ms, chosen.tried)
            ctx.note(tx, now_ms, "number.chosen", number=number, step=Step.BUY_NUMBER)
            return intent

        try:
            return ctx.commit(choose_it)
        except IntegrityError:
            continue
    if wish.phone_number is not None:
        raise Halted(number_taken(ctx, wish.phone_number))
    raise Halted(no_numbers(ctx, wish, "Twilio has none free that fits", chosen.tried))


def number_taken(ctx: Context, number: str) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} asked for exactly {number}, and another tenant has it or is buying it. Nothing was bought. "
        f'Choose another: python -m gateway tenants set {key} phone_number=+… --reason "taken"'
    )
    return Outcome("number_taken", {"number": number}, halt=Halt(Blocked.NUMBER_TAKEN, message))


def no_numbers(ctx: Context, wish: Options, why: str, tried: tuple[find_numbers.Tried, ...] = ()) -> Outcome:
    key = ctx.tenant.tenant_key
    asked = ", ".join(
        f"{name} {value}"
        for name, value in (
            ("country", wish.country or ctx.rules.default_country),
            ("type", wish.number_type or ctx.rules.default_number_type),
            ("area code", wish.area_code),
            ("containing", wish.contains),
            ("locality", wish.locality),
            ("region", wish.number_region),
            ("near", wish.near_number),
        )
        if value
    )
    also = f" Looked in {', then '.join(map(str, tried))} too." if tried else ""
    message = (
        f"{key} is waiting for a number ({asked}): {why}.{also} Nothing was bought. "
        f'Ask for another: python -m gateway tenants set {key} area_code=406 --reason "none left"'
    )

    def store(tx: Transaction, now_ms: int) -> None:
        find_numbers.note_tried(ctx, tx, now_ms, tried)

    return Outcome("no_numbers", store=store, halt=Halt(Blocked.NO_NUMBERS, message))


def awaiting_choice(ctx: Context) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} waits for its customer to choose a number. Nothing was bought. A link for them: "
        f"python -m gateway tenants choose-link {key}. To choose for them: "
        f'python -m gateway tenants set {key} phone_number=+… --reason "chosen by phone"'
    )
    return Outcome("awaiting_choice", halt=Halt(Blocked.AWAITING_CHOICE, message))

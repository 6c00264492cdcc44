"""Buy the tenant's one number, or prove what became of a purchase in doubt.

Twilio has no idempotency key for buying, but a number can be sold only once: the committed number is the key. Every
rule here follows from that one. Repeat this number; never try another while it is undecided; never take an answer
for more than its own request.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import keys
from gateway.domain.model import Blocked, Held, Holding, Intent, IntentStatus, Step, Wanted, unknown_import
from gateway.domain.retry import asked_pause_ms
from gateway.errors import Refused, TryLater
from gateway.ports import OwnedNumber
from gateway.steps import former_names, release_number, spare_number
from gateway.steps.after_restore import hold_back_purchase, look_whether_held_back
from gateway.steps.choose_number import choose, options_of, require_assistant
from gateway.steps.context import Context, Effect, Halt, Halted, Outcome, ambiguous, no
from gateway.steps.papers import how_to_give_a_bundle, how_to_give_an_address
from gateway.steps.purchase_caps import check_purchase_caps, keep_waiting_for_cap
from gateway.steps.settle_papers import BUY, settle, settle_anew, waits_for_papers
from gateway.store import attempts, intents, ledger
from gateway.store.attempts import Attempt
from gateway.store.database import Transaction

BLOCKED_BY_REFUSAL = {
    "credentials": Blocked.PROVIDER_CREDENTIALS,
    "address": Blocked.NEEDS_ADDRESS,
    "bundle": Blocked.NEEDS_BUNDLE,
}


def make(ctx: Context) -> Outcome:
    """Choose a number, make sure it is not ours already, and buy it."""
    intent = ctx.read_one(lambda tx: intents.open_of(tx, ctx.tenant))
    try:
        if intent is None:
            intent = choose(ctx)
        elif intent.status is IntentStatus.CHOSEN and waits_for_papers(ctx):
            # Nothing was bought: what is shown, and perhaps for which number, is decided anew.
            intent = settle_anew(ctx, intent)
        elif intent.status is IntentStatus.CHOSEN:
            # Held back already, it has looked: to look once more would only cost calls.
            look_whether_held_back(ctx)
            keep_waiting_for_cap(ctx, intent)
            require_assistant(ctx, options_of(ctx))
            if intent.first_sent_at_ms is None:
                intent = settle(ctx, intent)
        if intent.status is not IntentStatus.CHOSEN:
            # The holding said no while the intent says otherwise: doubt wins.
            return Outcome("in_doubt", store=lambda tx, now_ms: put_maybe(ctx, tx, intent, now_ms))
        return look_first(ctx, intent) or send(ctx, intent)
    except Halted as halted:
        return halted.outcome


def look(ctx: Context) -> Outcome:
    """Find out what became of a purchase, or of a release, whose outcome is not clear."""
    if ctx.held[Step.BUY_NUMBER].detail.get("is_releasing"):
        return release_number.look(ctx)
    intent = ctx.read_one(lambda tx: intents.open_of(tx, ctx.tenant))
    if intent is None:
        return Outcome("nothing_in_doubt", store=lambda tx, now_ms: ctx.put(tx, no(Step.BUY_NUMBER), now_ms))
    try:
        if intent.status is IntentStatus.OWNED:
            return confirm_owned(ctx, intent)
        if intent.status is IntentStatus.CHOSEN:
            return look_first(ctx, intent) or Outcome("not_there", store=lambda tx, now_ms: put_no(ctx, tx, now_ms))
        return prove(ctx, intent)
    except Halted as halted:
        return halted.outcome


def look_first(ctx: Context, intent: Intent) -> Outcome | None:
    """Directly before a first POST: is anything under our tag, is the number anybody's already? None: send it."""
    tagged = former_names.find_by_tag(ctx, ctx.tag)
    if len(tagged) > 1:
        return several_under_our_tag(ctx, intent, tagged)
    if tagged:
        return adopt(ctx, intent, tagged[0], "found under our tag before buying")
    # While that is so the rest can wait: a reconcile finds what is under other names.
    look_whether_held_back(ctx)
    forgotten = former_names.look(ctx)
    if forgotten is not None:
        return forgotten
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.find_by_number(intent.number, deadline))
    if there is None:
        return None
    if there.tag == ctx.tag:
        return adopt(ctx, intent, there, "found by its number before buying")
    return refuse(ctx, intent, "it is in the Twilio account already, under another name", Blocked.NUMBER_TAKEN, [])


def send(ctx: Context, intent: Intent) -> Outcome:
    """Mark the number as sent, commit, POST it once, and take the answer for what it is."""

    def before(tx: Transaction, now_ms: int) -> None:
        current = intents.open_of(tx, ctx.tenant)
        if current is None or (current.id, current.status) != (intent.id, intent.status):
            raise Halted(Outcome("changed_meanwhile"))
        hold_back_purchase(ctx, tx, now_ms)
        is_first_post = current.status is IntentStatus.CHOSEN
        if current.first_sent_at_ms is None or (is_first_post and ctx.rules.purchases_are_stopped):
            check_purchase_caps(ctx, tx, now_ms)
        intents.mark_sent(tx, current, now_ms)
        put_maybe(ctx, tx, current, now_ms)

    effect = ctx.effect(
        ctx.telephony.provider,
        BUY,
        intent.number,
        lambda deadline: ctx.telephony.buy(
            intent.number, ctx.tag, deadline, address_sid=intent.address_sid, bundle_sid=intent.bundle_sid
        ),
        before,
    )
    return answered(ctx, intent, effect)


def answered(ctx: Context, intent: Intent, effect: Effect[OwnedNumber]) -> Outcome:
    """What one answer says. It speaks for its own POST only: while another is open, all but a 201 leave it unknown."""
    error, bought = effect.error, effect.value
    detail = {"number": intent.number, "attempt": effect.attempt.id}
    if bought is not None:

        def store_bought(tx: Transaction, now_ms: int) -> None:
            effect.finish(tx, "bought", now_ms)
            own(ctx, tx, intent, bought, "bought", now_ms)

        return Outcome("bought", detail, store_bought, duration_ms=effect.duration_ms)
    told = ending(error)

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        others = attempts.open_for_number(tx, intent.number, BUY, besides=effect.attempt.id)
        if others or told == attempts.UNCLEAR:
            intents.mark_unknown(tx, intent)
        elif told == "unavailable":
            # Not proof yet: something on the way may have repeated a POST that went through. Look now and once more.
            intents.mark_unknown(tx, intent, taken_at_ms=now_ms)
        else:
            intents.mark_not_processed(tx, intent)
            ctx.put(tx, no(Step.BUY_NUMBER), now_ms)

    outcome = Outcome(told, {**detail, "why": str(error)}, store, error=error, duration_ms=effect.duration_ms)
    if told in (attempts.UNCLEAR, "unavailable"):
        return outcome
    others_open = ctx.read_one(lambda tx: attempts.open_for_number(tx, intent.number, BUY, besides=effect.attempt.id))
    if isinstance(error, Refused) and not others_open:
        return replace(outcome, halt=halt_for(ctx, intent, error))
    return replace(outcome, wait_until_ms=ctx.now_ms() + wait_after(ctx, error))


def ending(error: Exception | None) -> str:
    """The word for how a POST without a number ended."""
    if isinstance(error, TryLater):
        return attempts.NOT_PROCESSED
    if isinstance(error, Refused):
        return "unavailable" if error.kind == "unavailable" else "refused"
    return attempts.UNCLEAR


def prove(ctx: Context, intent: Intent) -> Outcome:
    """One look by number at a purchase in doubt, and what follows from it."""
    looked_at_ms = ctx.now_ms()
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.find_by_number(intent.number, deadline))
    posts = ctx.read_one(lambda tx: attempts.open_for_number(tx, intent.number, BUY))
    if there is not None and there.tag == ctx.tag:
        return adopt(ctx, intent, there, "a look showed that the purchase went through", posts)
    if there is not None and keys.is_tag(there.tag):
        return refuse(ctx, intent, "another tenant's tag is on it", Blocked.NUMBER_TAKEN, [])
    if there is not None:
        return ambiguous(
            f"{intent.number} is in the Twilio account under a name that is not ours, after a purchase in doubt. "
            "Nothing more was bought. Set its friendly name "
            f"to {ctx.tag} if it is this tenant's, else rename or release it at Twilio; "
            f"then: {ctx.retry_command}",
        )
    if looked_at_ms >= settled_at_ms(ctx, intent, posts):
        return absent_for_good(ctx, intent, posts)
    return absent_so_far(ctx, intent, posts, looked_at_ms)


def settled_at_ms(ctx: Context, intent: Intent, posts: list[Attempt]) -> int:
    """From when on a look that finds nothing proves that nothing was bought."""
    if intent.taken_at_ms is not None:
        return intent.taken_at_ms + ctx.rules.taken_settle_ms
    last_deadline_ms = max((post.deadline_at_ms for post in posts), default=0)
    return last_deadline_ms + ctx.rules.settle_ms


def absent_for_good(ctx: Context, intent: Intent, posts: list[Attempt]) -> Outcome:
    """Proved: this number was not bought."""
    if ctx.tenant.wanted is not Wanted.ACTIVE:
        return drop(ctx, intent, posts)
    if intent.taken_at_ms is not None:
        return refuse(ctx, intent, "somebody else has it", Blocked.NUMBER_TAKEN, posts)
    if intent.round > 1:
        return refuse(ctx, intent, "two purchases of it were proved not to have happened",
                      Blocked.PROVIDER_REFUSED, posts)  # fmt: skip

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, posts, attempts.PROVED_ABSENT, now_ms)
        intents.start_second_round(tx, intent)
        ctx.put(tx, no(Step.BUY_NUMBER), now_ms)

    return Outcome("proved_absent", {"number": intent.number, "why": "the same number is tried once more"}, store)


def absent_so_far(ctx: Context, intent: Intent, posts: list[Attempt], looked_at_ms: int) -> Outcome:
    """Not there yet: repeat the same number, or look again later."""
    if may_repeat(ctx, intent, looked_at_ms):
        return send(ctx, intent)
    pause = ctx.pause_ms(intent.looks)
    again_at_ms = min(looked_at_ms + pause, settled_at_ms(ctx, intent, posts))
    return Outcome(
        "not_there_yet",
        {"number": intent.number, "until_ms": again_at_ms},
        lambda tx, now_ms: intents.count_look(tx, intent),
        wait_until_ms=max(again_at_ms, looked_at_ms + 1),
    )


def may_repeat(ctx: Context, intent: Intent, now_ms: int) -> bool:
    """The same number may be sent again: still wanted, looked at before, at most twice, soon after the first."""
    if ctx.tenant.wanted is not Wanted.ACTIVE or intent.taken_at_ms is not None or intent.looks == 0:
        return False
    since_ms = intent.round_sent_at_ms
    if since_ms is None or now_ms > since_ms + ctx.rules.repeat_within_ms:
        return False
    sent = ctx.read_one(lambda tx: attempts.count_since(tx, ctx.tenant, BUY, intent.number, since_ms))
    return sent < ctx.rules.most_posts_a_round


def confirm_owned(ctx: Context, intent: Intent) -> Outcome:
    """A number we own was put in doubt: is it still there, and still ours?"""
    sid = intent.sid or ""
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.fetch(sid, deadline))
    if there is not None and (there.number, there.tag) == (intent.number, ctx.tag):
        return Outcome("still_there", store=lambda tx, now_ms: ctx.put(tx, held_yes(intent, sid), now_ms))
    if there is not None and (there.number, there.tag) == (intent.number, spare_number.former_tag(ctx)):
        return spare_number.rename(ctx, intent, sid)
    if there is not None and there.number == intent.number and spare_number.is_given(ctx, there):
        return spare_number.given(ctx, there)
    if there is None and ctx.tenant.wanted is Wanted.RELEASED:
        return Outcome("already_gone", store=lambda tx, now_ms: release_number.put_releasing(ctx, tx, now_ms))
    what = "is gone from the Twilio account" if there is None else f"is there under another name ({there.tag!r})"
    return ambiguous(
        f"{intent.number} of {ctx.tenant.tenant_key} {what}. Nothing was bought in its place. "
        "Put it right at Twilio, then: "
        f"{ctx.retry_command}",
    )


def adopt(ctx: Context, intent: Intent, there: OwnedNumber, why: str, posts: list[Attempt] | None = None) -> Outcome:
    """A number under our tag is ours: it replaces the intent, in one transaction."""

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, posts or [], attempts.PROVED_DONE, now_ms)
        target = intent
        if there.number != intent.number:
            intents.end(tx, intent, IntentStatus.DROPPED, f"{there.number} was found under our tag", now_ms)
            target = intents.choose(
                tx,
                ctx.tenant,
                there.number,
                ctx.tag,
                is_exact=intent.is_exact,
                country=intent.country,
                number_type=intent.number_type,
                now_ms=now_ms,
                address_sid=intent.address_sid,
                bundle_sid=intent.bundle_sid,
            )
        own(ctx, tx, target, there, "adopted", now_ms)

    taken = ctx.read_one(lambda tx: intents.other_owner(tx, there.number, ctx.tenant.id))
    if taken is not None:
        return ambiguous(
            f"{there.number} bears the tag of {ctx.tenant.tenant_key}, yet another tenant is committed to it. "
            "Nothing was bought. Compare both tenants with Twilio, then retry.",
        )
    return Outcome("adopted", {"number": there.number, "sid": there.sid, "why": why}, store)


def own(ctx: Context, tx: Transaction, intent: Intent, there: OwnedNumber, how: str, now_ms: int) -> None:
    intents.mark_owned(tx, intent, there.sid)
    ctx.put(tx, held_yes(replace(intent, number=there.number), there.sid), now_ms)
    ledger.write(tx, ctx.tenant, "number", "gained", how, ctx.telephony.provider, there.sid, there.number, now_ms)
    if how == "adopted" and ctx.held[Step.IMPORT_NUMBER].held is Held.NO:
        ctx.put(tx, unknown_import(there.number), now_ms)


def held_yes(intent: Intent, sid: str) -> Holding:
    return Holding(Step.BUY_NUMBER, Held.YES, sid, {"number": intent.number, "tag": intent.tag})


def put_no(ctx: Context, tx: Transaction, now_ms: int) -> None:
    ctx.put(tx, no(Step.BUY_NUMBER), now_ms)


def put_maybe(ctx: Context, tx: Transaction, intent: Intent, now_ms: int) -> None:
    ctx.put(tx, Holding(Step.BUY_NUMBER, Held.MAYBE, None, {"number": intent.number, "tag": intent.tag}), now_ms)


def refuse(ctx: Context, intent: Intent, why: str, exact_code: Blocked, posts: list[Attempt]) -> Outcome:
    """This number cannot be had: the next candidate, or a person where it had to be exactly this one."""

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, posts, attempts.PROVED_ABSENT, now_ms)
        intents.end(tx, intent, IntentStatus.REFUSED, why, now_ms)
        ctx.put(tx, no(Step.BUY_NUMBER), now_ms)

    halt = None
    if intent.is_exact and ctx.tenant.wanted is Wanted.ACTIVE:
        halt = Halt(
            exact_code,
            f"{ctx.tenant.tenant_key} asked for exactly {intent.number}, and it cannot be bought: {why}. "
            "Nothing was bought. Choose another: python -m gateway tenants set "
            f'{ctx.tenant.tenant_key} phone_number=+1… --reason "{intent.number} is taken"',
        )
    return Outcome("refused", {"number": intent.number, "why": why}, store, halt=halt)


def drop(ctx: Context, intent: Intent, posts: list[Attempt]) -> Outcome:
    """Proved not to have been bought, and nobody wants it any more."""

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, posts, attempts.PROVED_ABSENT, now_ms)
        intents.end(tx, intent, IntentStatus.DROPPED, "no longer wanted, and proved not bought", now_ms)
        ctx.put(tx, no(Step.BUY_NUMBER), now_ms)

    return Outcome("dropped", {"number": intent.number}, store)


def several_under_our_tag(ctx: Context, intent: Intent, tagged: list[OwnedNumber]) -> Outcome:
    numbers = ", ".join(found.number for found in tagged)
    outcome = ambiguous(
        f"{ctx.tenant.tenant_key} has {len(tagged)} numbers at Twilio under its tag: {numbers}. "
        "Nothing more was bought. Release or rename all but one at Twilio, then: "
        f"{ctx.retry_command}",
    )
    # Something is held, we cannot say what: whatever is wanted next, it is looked at first.
    return replace(outcome, store=lambda tx, now_ms: put_maybe(ctx, tx, intent, now_ms))


def halt_for(ctx: Context, intent: Intent, error: Refused) -> Halt:
    """The block that a refusal of Twilio means for this tenant."""
    code = BLOCKED_BY_REFUSAL.get(error.kind, Blocked.PROVIDER_REFUSED)
    key = ctx.tenant.tenant_key
    advice = {
        Blocked.PROVIDER_CREDENTIALS: "Check the Twilio credentials and the account; it goes on by itself.",
        Blocked.NEEDS_ADDRESS: how_to_give_an_address(key, (intent.country, intent.number_type)),
        Blocked.NEEDS_BUNDLE: how_to_give_a_bundle(key, (intent.country, intent.number_type)),
    }.get(code, f"Put it right at Twilio, then: {ctx.retry_command}")
    is_about_papers = code in (Blocked.NEEDS_ADDRESS, Blocked.NEEDS_BUNDLE)
    recheck_at_ms = ctx.now_ms() + ctx.rules.papers_recheck_ms if is_about_papers else None
    shown = [sid for sid in (intent.address_sid, intent.bundle_sid) if sid and is_about_papers]
    what = f" Shown was {' with '.join(shown)}." if shown else ""
    return Halt(code, f"{key} has no number yet: {error}. Nothing was bought.{what} {advice}", recheck_at_ms)


def wait_after(ctx: Context, error: Exception | None) -> int:
    if isinstance(error, TryLater):
        return asked_pause_ms(error.retry_after_seconds, ctx.tenant.tries, ctx.parts.random.random())
    return ctx.pause_ms(ctx.tenant.tries)

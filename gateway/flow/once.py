"""A spare number by wish, bought once for each key of the caller's, however often it is asked for.

The key's row names the number before anything is sent, so that whoever asks again goes on with that number. One
request at a time works on a key; a process that died holds it for a while, and no longer.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from gateway.domain import keys
from gateway.errors import InHand, OperatorError
from gateway.flow import stock
from gateway.flow.at_once import Ended, Patience
from gateway.flow.operate import Operator
from gateway.flow.stock import Buying, Words
from gateway.steps.context import StepParts
from gateway.store import api_requests
from gateway.store.api_requests import Order
from gateway.store.database import Transaction

# Beyond the patience: searches and the calls that were open when it ended.
MORE_CALLS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """actor: whose key it is.   key: the caller's word for this order.   body_hash: what was asked under it."""

    actor: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Answered:
    """is_repeated: the number had been got before this request."""

    buying: Buying
    is_repeated: bool = False


def hash_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def buy_once(parts: StepParts, request: Request, words: Words, operator: Operator, patience: Patience) -> Answered:
    """Buy a number that fits `words` as spare stock, the same one for the same key.

    Raises OperatorError (the key was used for another order), InHand (another request works on it and did not end
    in time), WrongUse, and a ProviderError when the search itself fails: nothing was bought then.
    """
    said = stock.checked(words, parts.rules)
    holder = secrets.token_hex(8)
    order = stock.when_free(parts, patience, lambda: take(parts, request, holder, patience))
    if order.is_done:
        says = f"{order.number} was bought under this key before. {stock.NOTHING}"
        key = keys.spare_key(order.number or "")
        return Answered(Buying(Ended.DONE, key, order.number, order.sid, says), is_repeated=True)
    sid: str | None = None
    try:
        bought = buy(parts, request, holder, order.number, said, operator, patience)
        sid = bought.sid if bought.ended is Ended.DONE else None
        return Answered(bought)
    finally:
        parts.commit(lambda tx: api_requests.let_go(tx, request.actor, request.key, holder, sid))


def take(parts: StepParts, request: Request, holder: str, patience: Patience) -> Order:
    """The order, ours to work on or done. Raises OperatorError, InHand."""
    now_ms = parts.clock.now_ms()
    until_ms = now_ms + patience.limit_ms + MORE_CALLS * parts.rules.provider_timeout_ms
    order = parts.commit(
        lambda tx: api_requests.take(tx, request.actor, request.key, request.body_hash, holder, until_ms, now_ms)
    )
    if order.body_hash != request.body_hash:
        raise OperatorError(
            f"This Idempotency-Key was used for another order before. {stock.NOTHING} Take a new key for a new order."
        )
    if not order.is_done and order.holder != holder:
        raise InHand(
            "Another request with this Idempotency-Key is at work, or was cut off a moment ago. Nothing else was "
            "bought. Ask again with the same key."
        )
    return order


def buy(
    parts: StepParts,
    request: Request,
    holder: str,
    number: str | None,
    said: Words,
    operator: Operator,
    patience: Patience,
) -> Buying:
    """Go on with the number that the key means; where that one is gone, the key comes to mean the next."""
    tried: Buying | None = None
    if number is not None:
        tried = stock.buy_spare(parts, number, said, operator, patience)
        if not tried.is_taken:
            return tried
    for candidate in stock.for_sale(parts, said)[: stock.MOST_PICKS]:

        def means(tx: Transaction, candidate: str = candidate) -> bool:
            return api_requests.commit_to(tx, request.actor, request.key, holder, candidate)

        if not parts.commit(means):
            raise InHand(f"Another request with this Idempotency-Key took over. {stock.NOTHING} Ask again.")
        tried = stock.buy_spare(parts, candidate, said, operator, patience)
        if not tried.is_taken:
            return tried
    return tried or Buying(Ended.BLOCKED, "", None, None, f"Twilio has no number that fits. {stock.NOTHING}")

"""What the choice page asks of the gateway, and what it is told: no HTTP, no HTML.

Calls to providers are made here, with no transaction open; a choice is held by `flow/choice.py` in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain import options
from gateway.domain.model import Options, Tenant
from gateway.errors import ChoiceRefused, OptionsInvalid
from gateway.flow.choice import Choice, Choosing, choose_for, choosing_of
from gateway.flow.choice_links import Link, read_link
from gateway.flow.offers import Offer, offers
from gateway.ports import NumberWish
from gateway.steps.context import StepParts
from gateway.store import intents, tenants
from gateway.store.database import Transaction, in_read, in_transaction
from gateway.web.choose.searches import Searches

SEARCHED = 60
# Wishes that a customer may change, by the name of the field.
SEARCH_FIELDS = ("area_code", "contains", "locality")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. wrong: field -> what is the matter with it; then nothing was searched."""

    wish: NumberWish
    offers: Sequence[Offer]
    wrong: Mapping[str, str]


class Desk:
    """secret_keys: newest first; none where there is no choice page."""

    def __init__(self, parts: StepParts, secret_keys: Sequence[str]) -> None:
        self._parts = parts
        self._secret_keys = secret_keys
        self._searches = Searches(parts.clock.monotonic, lambda wish: offers(parts, wish, SEARCHED))

    def read(self, token: str) -> Link | None:
        """Raises LinkExpired."""
        return read_link(self._secret_keys, token, self._parts.clock.now_ms())

    def choosing(self, link: Link) -> Choosing | None:
        """Where the link's tenant stands; None where the link is of an earlier order, or of nobody."""

        def look(tx: Transaction) -> Choosing | None:
            tenant = tenants.by_key(tx, link.tenant_key)
            if tenant is None or tenant.generation != link.generation:
                return None
            return choosing_of(tx, tenant)

        return in_read(self._parts.database, look)

    def options_of(self, choosing: Choosing) -> Options:
        """What counts for this tenant; where a word makes no sense, the defaults."""
        try:
            return options.parse(choosing.words, self._parts.rules)
        except OptionsInvalid:
            return options.parse({}, self._parts.rules)

    def find(self, choosing: Choosing, asked: Mapping[str, str]) -> Found:
        """Numbers for sale. asked: of SEARCH_FIELDS; what is not there is as the signup said it.

        Raises TooManySearches, ProviderError.
        """
        known = self.options_of(choosing)
        words = {name: asked[name] for name in SEARCH_FIELDS if asked.get(name, "").strip()}
        try:
            wished = options.parse({"country": known.country or "", **words}, self._parts.rules)
        except OptionsInvalid as error:
            return Found(self._wish(known), (), {error.key: str(error)})
        if not set(asked) & set(SEARCH_FIELDS):
            wished = replace(wished, area_code=known.area_code, contains=known.contains, locality=known.locality)
        wish = self._wish(replace(wished, number_type=known.number_type))
        return Found(wish, self._still_free(self._searches.find(choosing.tenant.tenant_key, wish)), {})

    def _still_free(self, found: Sequence[Offer]) -> list[Offer]:
        """Without those that somebody was quicker to choose since they were found, or that could not be had."""
        since_ms = self._parts.clock.now_ms() - self._parts.rules.watch_ms
        numbers = [each.number for each in found]
        if not numbers:
            return []
        taken = in_read(
            self._parts.database, lambda tx: intents.passed_over(tx, numbers, since_ms), is_single=True
        )  # fmt: skip
        return [each for each in found if each.number not in taken]

    def offer_of(self, choosing: Choosing, number: str) -> Offer | None:
        """The offer of exactly this number, as it was shown or as it is for sale now; None when it is not.

        Raises TooManySearches, ProviderError.
        """
        who = choosing.tenant.tenant_key
        shown = self._searches.offered(who, number)
        if shown is not None or not options.E164.fullmatch(number):
            return shown
        wish = self._wish(self.options_of(choosing))
        exact = NumberWish(wish.country, wish.number_type, contains=number[1:], has_address=True)
        return next((each for each in self._searches.find(who, exact) if each.number == number), None)

    def wrong_address(self, address: Mapping[str, str]) -> dict[str, str]:
        """Field -> what is the matter with it."""
        wrong = {name: "Please fill this in." for name in options.ADDRESS_NAMES if not address.get(name, "").strip()}
        for name, value in address.items():
            try:
                options.parse({name: value}, self._parts.rules)
            except OptionsInvalid as error:
                wrong[name] = str(error)
        return wrong

    def choose(self, choosing: Choosing, offer: Offer, address: Mapping[str, str]) -> Tenant:
        """Hold the number for this tenant. Raises ChoiceRefused; of `gone`, nobody is shown the number again."""
        tenant, rules = choosing.tenant, self._parts.rules
        choice = Choice(offer.number, offer.country, offer.number_type, dict(address))
        now_ms = self._parts.clock.now_ms()
        try:
            return in_transaction(
                self._parts.database, lambda tx: choose_for(tx, tenant.id, tenant.generation, choice, rules, now_ms)
            )
        except ChoiceRefused as refused:
            if refused.reason == "gone":
                self._searches.forget(offer.number)
            raise

    def _wish(self, wished: Options) -> NumberWish:
        """Numbers that need an address too: the customer is asked for it when they choose one."""
        rules = self._parts.rules
        return NumberWish(
            country=wished.country or rules.default_country,
            number_type=wished.number_type or rules.default_number_type,
            area_code=wished.area_code,
            contains=wished.contains,
            locality=wished.locality,
            has_address=True,
        )

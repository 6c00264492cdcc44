"""What the customer is told at each moment, in their words: nothing of how this gateway is built, no codes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import display
from gateway.domain.model import Blocked, State, Step, Wanted
from gateway.flow.choice import Choosing

COUNTRIES_WITH_AREA_CODES = ("US", "CA")
ADDRESS_LABELS = {
    "company_name": ("Name of the company or person", "organization"),
    "street": ("Street and number", "street-address"),
    "city": ("City", "address-level2"),
    "region": ("State, province or region", "address-level1"),
    "postal_code": ("Postal code", "postal-code"),
}
NOTICES = {
    Blocked.NUMBER_TAKEN: "The number you chose was taken by somebody else meanwhile. Nothing was charged for it. "
    "Please choose another one.",
    Blocked.NO_NUMBERS: "There are no numbers left that fit. Please search again.",
}
WE_ARE_ON_IT = "This takes a little longer than usual. We are on it, and there is nothing you need to do."
PAPERS = (
    "The telephone company checks papers before it hands out numbers in this country. That can take a few days. "
    "It goes on by itself, and there is nothing you need to do."
)
NOT_ACTIVE = "There is no number to choose now, because the order is not active. Please ask whoever sent you here."
STEPS = (
    (Step.BUY_NUMBER, "Your number is reserved for you"),
    (Step.IMPORT_NUMBER, "It is connected"),
    (Step.ASSIGN_ASSISTANT, "Somebody is there to answer"),
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. steps: (what, whether it is done).   needs_address: the customer has to say theirs."""

    number: str
    shown: str
    is_done: bool
    text: str
    steps: tuple[tuple[str, bool], ...]
    needs_address: bool
    may_choose_again: bool


def progress_of(choosing: Choosing) -> Progress:
    tenant = choosing.tenant
    number = choosing.number or ""
    is_done = tenant.state is State.ACTIVE
    block = tenant.block.code if tenant.block else None
    text = "Getting your number ready. This page goes on by itself."
    if is_done:
        text = "Your number works now. Call it and hear for yourself."
    elif block is Blocked.NEEDS_BUNDLE:
        text = PAPERS
    elif block is Blocked.NEEDS_ADDRESS:
        text = "Numbers in this country need your address. Please tell us yours."
    elif block is not None:
        text = WE_ARE_ON_IT
    return Progress(
        number=number,
        shown=display.phone_number(number) if number else "",
        is_done=is_done,
        text=text,
        steps=tuple((says, is_done or step in choosing.has) for step, says in STEPS),
        needs_address=block is Blocked.NEEDS_ADDRESS and choosing.may_choose,
        may_choose_again=choosing.may_choose,
    )


def notice_of(choosing: Choosing) -> str | None:
    """What has to be said above the numbers."""
    block = choosing.tenant.block
    return NOTICES.get(block.code) if block else None


def is_inactive(choosing: Choosing) -> bool:
    return choosing.tenant.wanted is not Wanted.ACTIVE

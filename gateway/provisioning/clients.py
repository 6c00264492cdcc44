"""A client's number from search to assistant, as one answer that says how far it came."""

from __future__ import annotations

from gateway.domain.model import Blocked, Step
from gateway.flow import stock
from gateway.flow.at_once import Ended, Standing, Worked
from gateway.provisioning.desk import Answer, Desk

FAR = ((Step.BUY_NUMBER, "purchase"), (Step.IMPORT_NUMBER, "import"))


def provision(desk: Desk, call: str, client_id: str, words: dict[str, str]) -> tuple[Answer, Worked]:
    """Have the client get a number and an assistant; asked again it goes on with the same number.

    Raises WrongUse, OperatorError.
    """
    worked = stock.buy_for(desk.steps, str(client_id), words, desk.operator(call), desk.patience)
    standing = worked.standing
    answer: Answer = {
        "success": worked.ended is Ended.DONE,
        "phone_number": standing.number,
        "twilio_sid": standing.sid,
        "vapi_id": standing.entry_id if standing.has(Step.IMPORT_NUMBER) else None,
        "steps": steps_of(standing),
        "error": None,
    }
    if worked.ended is not Ended.DONE:
        desk.note(call, worked.why)
        answer["error"] = worked.why
    return answer, worked


def steps_of(standing: Standing) -> list[str]:
    """What was done of search, purchase and import."""
    done = ["search"] if standing.intent is not None else []
    return done + [name for step, name in FAR if standing.has(step)]


def nothing_done(error: str) -> Answer:
    return {
        "success": False,
        "phone_number": None,
        "twilio_sid": None,
        "vapi_id": None,
        "steps": [],
        "error": error,
    }


def wants_address(worked: Worked) -> bool:
    block = worked.standing.tenant.block
    return worked.ended is Ended.BLOCKED and block is not None and block.code is Blocked.NEEDS_ADDRESS

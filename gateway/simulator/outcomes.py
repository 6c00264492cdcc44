"""What a fault makes of an answer: a refusal in the service's own words, or the same answer badly delivered."""

from __future__ import annotations

from gateway.simulator.faults import Strike
from gateway.simulator.wire import REASONS, Reply, Request, Wire, json_reply

_TWILIO_CODES = {401: 20003, 403: 20403, 429: 20429, 500: 20500, 503: 20503}
_TWILIO_MESSAGES = {
    401: "Authenticate",
    403: "Account is suspended",
    429: "Too Many Requests",
    500: "An internal server error has occurred",
    503: "Service unavailable",
}
_STATUS = {"rate_limit": 429, "unauthorized": 401, "suspended": 403}


def refusal(operation: str, kind: str, strike: Strike) -> Reply:
    """The answer of `operation`'s service for a fault of this kind."""
    status = _STATUS.get(kind, strike.status)
    headers = {"Retry-After": strike.retry_after} if kind == "rate_limit" and strike.retry_after else {}
    if status in (502, 504):
        # These come from a proxy in front of the service, which speaks no JSON.
        page = f"<html><head><title>{status} {REASONS[status]}</title></head><body>{REASONS[status]}</body></html>"
        return Reply(status, page.encode(), "text/html")
    vendor = operation.partition(".")[0]
    if vendor == "twilio":
        code = _TWILIO_CODES.get(status, 20500)
        more = f"https://www.twilio.com/docs/errors/{code}"
        answer = {"code": code, "message": _TWILIO_MESSAGES.get(status, "Error"), "more_info": more, "status": status}
        return json_reply(status, answer, headers)
    if vendor == "vapi":
        reason = REASONS.get(status, "Error")
        return json_reply(status, {"message": reason, "error": reason, "statusCode": status}, headers)
    error = {"message": REASONS.get(status, "Error"), "type": "rate_limit_error" if status == 429 else "api_error"}
    return json_reply(status, {"error": error}, headers)


def travel(operation: str, reply: Reply, strike: Strike) -> Reply:
    """The same answer, as it arrives after this fault."""
    body, status, content_type, wire = reply.body, reply.status, reply.content_type, None
    match strike.kind:
        case "lost_after":
            wire = Wire(drop=True, reset=strike.reset)
        case "error_after":
            return refusal(operation, "error_after", strike)
        case "hang":
            wire = Wire(drop=True, wait_seconds=strike.seconds)
        case "slow":
            wire = Wire(wait_seconds=strike.seconds)
        case "trickle":
            wire = Wire(trickle_seconds=strike.seconds)
        case "truncated":
            wire = Wire(truncate=True)
        case "html":
            status, content_type = 200, "text/html"
            body = b"<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"
        case "empty":
            body = b""
    return Reply(status, body, content_type, reply.headers, wire)


def subject_of(operation: str, request: Request) -> str | None:
    """What a write is about, as far as the request says: a number or an id."""
    if operation == "twilio.buy":
        params = request.params()
        return params.get("PhoneNumber") or params.get("AreaCode")
    if operation in ("twilio.release", "twilio.update", "twilio.fetch", "vapi.assign", "vapi.delete", "vapi.get"):
        return request.path.rpartition("/")[2].removesuffix(".json")
    return None

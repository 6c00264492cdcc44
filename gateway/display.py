"""How numbers, times and durations are shown to people. Nothing here decides anything."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000


def phone_number(e164: str) -> str:
    """`+1 (415) 555-0123`, `+27 12 345 6789`; what cannot be read stays as it is."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    if parsed.country_code == 1:
        return "+1 " + phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL))


LATEST_MS = 253_402_300_799_999


def bounded(at_ms: int) -> float:
    """Seconds that a calendar knows; a sender may claim any time."""
    return max(0, min(at_ms, LATEST_MS)) / 1000


def moment(at_ms: int) -> str:
    """`2026-11-22 09:56:09`, UTC."""
    return datetime.fromtimestamp(bounded(at_ms), UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(at_ms: int | None) -> str | None:
    """`2026-11-22T09:56:09.123Z`, for scripts."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(bounded(at_ms), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(ms: float) -> str:
    """`34 ms`, `1.2 s`, `4 min`, `3 h 20 min`, `12 days`; the two largest units at most."""
    whole = round(abs(ms))
    if whole < SECOND_MS:
        return f"{whole} ms"
    if whole < 10 * SECOND_MS:
        return f"{whole / 1000:.1f} s"
    if whole < 2 * MINUTE_MS:
        return f"{whole // 1000} s"
    if whole < 2 * HOUR_MS:
        return f"{whole // MINUTE_MS} min"
    if whole < 2 * DAY_MS:
        hours, minutes = divmod(whole // MINUTE_MS, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(whole // HOUR_MS, 24)
    return f"{days} days {hours} h" if hours and days < 10 else f"{days} days"


def distance(at_ms: int, now_ms: int) -> str:
    """`in 4 min`, `3 h ago`, `now`."""
    if abs(at_ms - now_ms) < SECOND_MS:
        return "now"
    return f"in {duration(at_ms - now_ms)}" if at_ms > now_ms else f"{duration(now_ms - at_ms)} ago"

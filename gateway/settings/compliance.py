"""TWILIO_COMPLIANCE_FILE: which address and bundle Twilio is shown for which kind of number."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gateway.settings.text import Reader, quoted
from gateway.settings.types import Compliance

NUMBER_TYPES = ("local", "mobile", "toll_free", "national")


def read_compliance(reader: Reader) -> dict[tuple[str, str], Compliance]:
    """The TOML file: a table a country and number type, `[DE.local]` with address_sid and bundle_sid."""
    name = "TWILIO_COMPLIANCE_FILE"
    path = reader.text(name)
    if not path:
        return {}
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        reader.fault(name, "names a file that cannot be read: expected a TOML file.")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reader.fault(name, f"is not TOML ({error}).")
        return {}
    found: dict[tuple[str, str], Compliance] = {}
    for country, kinds in document.items():
        for kind, table in kinds.items() if isinstance(kinds, dict) else ((None, None),):
            where = f"[{country}.{kind}]" if kind else country
            if not re.fullmatch(r"[A-Z]{2}", country) or kind not in NUMBER_TYPES or not isinstance(table, dict):
                reader.fault(name, f"has {quoted(where)}: expected tables such as [DE.local].")
                continue
            address, bundle = table.get("address_sid"), table.get("bundle_sid")
            if set(table) - {"address_sid", "bundle_sid"} or not (
                is_sid(address, "AD", allow_none=True) and is_sid(bundle, "BU", allow_none=True)
            ):
                reader.fault(name, f"in {where}: expected address_sid = AD… and bundle_sid = BU…, nothing else.")
                continue
            found[country, kind] = Compliance(address, bundle)
    return found


def is_sid(value: object, prefix: str, *, allow_none: bool = False) -> bool:
    if value is None:
        return allow_none
    return isinstance(value, str) and bool(re.fullmatch(prefix + r"[0-9a-fA-F]{32}", value))

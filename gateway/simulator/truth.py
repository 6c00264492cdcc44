"""The whole state of the world as a judge reads it: what is owned, billed and imported, whatever lists say."""

from __future__ import annotations

from typing import Any

from gateway.simulator.tables import Tables

_SECRETS = ("twilioAuthToken", "twilioApiKey", "twilioApiSecret")


def truth(tables: Tables, account_sid: str) -> dict[str, Any]:
    """Everything but credentials.

    numbers: what the account pays for, each with `tag` and `billing_since_ms`.   released: what it no longer has.
    taken: what nobody can buy.   late: requests whose effect is still to come.
    """
    entries = [entry["public"] for entry in tables["entries"].values() if "deleted_at_ms" not in entry]
    return {
        "account": {"sid": account_sid, **tables["account"]["account"]},
        "numbers": [
            {**number, "owner": "account", "tag": number["friendly_name"], "billing_since_ms": number["created_ms"]}
            for number in tables["numbers"].values()
        ],
        "released": list(tables["released"].values()),
        "taken": sorted(tables["taken"]),
        "entries": [{name: entry[name] for name in entry if name not in _SECRETS} for entry in entries],
        "assistants": list(tables["assistants"].values()),
        "addresses": list(tables["addresses"].values()),
        "bundles": list(tables["bundles"].values()),
        "late": len(tables["late"]),
    }

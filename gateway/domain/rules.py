"""The numbers and names that decisions depend on, taken from the settings once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.domain import keys
from gateway.domain.model import Answering, Options, Wanted

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Papers:
    """What a kind of number wants to be shown when it is bought; None where nothing is configured."""

    address_sid: str | None = None
    bundle_sid: str | None = None


NO_PAPERS = Papers()


@dataclass(frozen=True, slots=True)
class Rules:
    """Durations in milliseconds; what each setting means is in docs/settings.md."""

    env: str = "dev"
    default_country: str = "US"
    default_number_type: str = "local"
    default_assistant_id: str | None = None
    server_url_template: str | None = None
    suspended_message: str = "This number is not in service at the moment."
    grace_ms: int = 7 * DAY_MS
    release_after_ms: int = 30 * DAY_MS
    settle_ms: int = 600_000
    taken_settle_ms: int = 30_000
    provider_timeout_ms: int = 15_000
    lease_ms: int = 60_000
    max_purchases_per_hour: int = 20
    max_purchases_per_day: int = 100
    max_releases_per_hour: int = 20
    max_release_share: float = 0.05

    papers: Mapping[tuple[str, str], Papers] = field(default_factory=dict)

    # Numbers refused this recently are passed over, and watched: they may have been bought all the same.
    watch_ms: int = 7 * DAY_MS
    repeat_within_ms: int = 60_000
    most_posts_a_round: int = 3
    most_candidates: int = 3
    fewest_for_release_share: int = 5
    recheck_ms: int = 60_000
    probe_ms: int = 60_000

    @property
    def purchases_are_stopped(self) -> bool:
        """Whether a cap of nothing stops every purchase, also of numbers that were sent before."""
        return 0 in (self.max_purchases_per_hour, self.max_purchases_per_day)

    def for_tenant(self, tenant_key: str) -> Rules:
        """The same for one tenant: a spare number has no customer, whose assistant or server it could be."""
        if not keys.is_spare(tenant_key):
            return self
        return replace(self, default_assistant_id=None, server_url_template=None)

    def papers_for(self, country: str, number_type: str) -> Papers:
        """What to show for this kind of number."""
        return self.papers.get((country, number_type), NO_PAPERS)


def answering_for(tenant_key: str, options: Options, wanted: Wanted, rules: Rules) -> Answering:
    """What the tenant's number should do with a call."""
    template = rules.server_url_template
    return Answering(
        assistant_id=options.assistant_id or rules.default_assistant_id,
        server_url=template.replace("{tenant}", tenant_key) if template else None,
        says=rules.suspended_message if wanted is Wanted.SUSPENDED else None,
    )

"""Numbers under our tags that no tenant refers to: whose they are, as far as their tags can tell.

A database that was put back from a backup meets its own future: tenants that were released and came back, and tenants
that went by another name. A number of a later generation proves that what the tenant had before was released, for a
generation begins only after that. A number of an earlier one is the tenant's too, unless we know of its release: told
all at once, an end and a return look like one, although the number was kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from gateway.domain import keys
from gateway.domain.drift import SeenNumber


@dataclass(frozen=True, slots=True)
class Namesake:
    """A tenant, as far as a tag can mean it.

    former_keys: ids of its subscriptions: a tenant that nobody names for a minute is named after one.
    is_free: it holds no number, and none is undecided.
    last_gained: the last generation that we know had a number; 0 for none.
    """

    tenant_id: int
    tenant_key: str
    generation: int
    former_keys: tuple[str, ...] = ()
    is_free: bool = True
    last_gained: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a tenant has to take over.

    tenant_key: the key that the tag is made of; not the tenant's own where it went by another name.
    numbers: all that bear that tag; with more than one, a person has to choose.
    """

    tenant_id: int
    tenant_key: str
    generation: int
    tag: str
    numbers: tuple[SeenNumber, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """claims: what tenants can take over.   strays: tag -> a number under it, of tenants that nobody knows yet."""

    claims: tuple[Claim, ...]
    strays: Mapping[str, str]


def unreferenced(numbers: Iterable[SeenNumber], referred_to: Container[str], env: str) -> dict[str, list[SeenNumber]]:
    """Digest of a key -> numbers under its tags that no tenant refers to. referred_to: SIDs that one refers to."""
    found: dict[str, list[SeenNumber]] = defaultdict(list)
    for number in numbers:
        read = keys.read_tag(env, number.tag)
        if read is not None and number.sid not in referred_to:
            found[read[0]].append(number)
    return dict(found)


def find(tenants: Iterable[Namesake], left: Mapping[str, list[SeenNumber]], tags: Container[str], env: str) -> Found:
    """Whose the numbers are that nobody refers to.

    left: as `unreferenced` gives them, listed after everything that was under way had landed.   tags: of all numbers.
    """
    known = list(tenants)
    by_key = {digest: by_generation(numbers, env) for digest, numbers in left.items()}
    claims = []
    for tenant in known:
        own = newest(by_key.pop(keys.digest(tenant.tenant_key), {}))
        if own is not None and is_its(tenant, own[0], tags, env):
            claims.append(claim(tenant, tenant.tenant_key, *own))
    claimed = {each.tenant_id for each in claims}
    for tenant in known:
        for former in tenant.former_keys:
            found = newest(by_key.pop(keys.digest(former), {}))
            if found is not None and tenant.is_free and tenant.tenant_id not in claimed:
                claimed.add(tenant.tenant_id)
                claims.append(claim(tenant, former, *found))
    strays = {each.tag: each.number for of_key in by_key.values() for under in of_key.values() for each in under}
    return Found(tuple(claims), strays)


def by_generation(numbers: Iterable[SeenNumber], env: str) -> dict[int, list[SeenNumber]]:
    found: dict[int, list[SeenNumber]] = defaultdict(list)
    for number in numbers:
        read = keys.read_tag(env, number.tag)
        if read is not None:
            found[read[1]].append(number)
    return found


def newest(found: Mapping[int, list[SeenNumber]]) -> tuple[int, list[SeenNumber]] | None:
    return max(found.items(), default=None)


def is_its(tenant: Namesake, generation: int, tags: Container[str], env: str) -> bool:
    """Whether a number of this generation is what the tenant has now, whatever it believes to have."""
    if generation > tenant.generation:
        # With a number of its own still there, one of the two should not be: that is for people.
        return keys.tag(env, tenant.tenant_key, tenant.generation) not in tags
    return tenant.is_free and generation > tenant.last_gained


def claim(tenant: Namesake, tenant_key: str, generation: int, numbers: list[SeenNumber]) -> Claim:
    return Claim(tenant.tenant_id, tenant_key, generation, numbers[0].tag, tuple(numbers))

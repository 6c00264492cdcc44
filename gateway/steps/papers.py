"""What addresses on file have to do with what we were told."""

from __future__ import annotations

from gateway.domain.papers import address_tag
from gateway.ports import PostalAddress, RegisteredAddress


def lines_of(address: PostalAddress) -> tuple[str, ...]:
    """Its lines, in the order that tags are made of."""
    return (address.customer_name, address.street, address.city, address.region, address.postal_code)


def said_by(found: RegisteredAddress) -> str:
    """A short text that changes when what is on file is changed."""
    return address_tag(lines_of(found.address), found.address.country)

"""A test kit for whoever builds on Ringfence: pretend Twilio and Vapi, in three sizes.

    TwilioResponses, VapiResponses     answers for the `responses` library, one call each
    MockHTTPResponse, MockRequestsSession     for those who patch `requests` themselves
    pytest_plugins = ["gateway.testing.plugin"]     fixtures: the pretend world, and a whole gateway in it

Needed beside what the gateway needs: `responses` for the first, `pytest` for the third; they are asked for where they
are used and not before. docs/testing.md has examples.
"""

from __future__ import annotations

from gateway.testing.mocks import MockHTTPResponse, MockRequestsSession
from gateway.testing.samples import (
    ADDRESSES_GB,
    ADDRESSES_LIST,
    ADDRESSES_US,
    ADDRESSES_ZA,
    AVAILABLE_NUMBERS_GB,
    AVAILABLE_NUMBERS_US,
    AVAILABLE_NUMBERS_ZA,
    TWILIO_NUMBERS_GB,
    TWILIO_NUMBERS_LIST,
    TWILIO_NUMBERS_US,
    TWILIO_NUMBERS_ZA,
    generate_address,
    generate_available_numbers,
    generate_twilio_number,
)
from gateway.testing.twilio import TwilioResponses
from gateway.testing.vapi import VapiResponses

__all__ = [
    "ADDRESSES_GB",
    "ADDRESSES_LIST",
    "ADDRESSES_US",
    "ADDRESSES_ZA",
    "AVAILABLE_NUMBERS_GB",
    "AVAILABLE_NUMBERS_US",
    "AVAILABLE_NUMBERS_ZA",
    "TWILIO_NUMBERS_GB",
    "TWILIO_NUMBERS_LIST",
    "TWILIO_NUMBERS_US",
    "TWILIO_NUMBERS_ZA",
    "MockHTTPResponse",
    "MockRequestsSession",
    "TwilioResponses",
    "VapiResponses",
    "generate_address",
    "generate_available_numbers",
    "generate_twilio_number",
]

"""Which client, source and office is used for what: settings become implementations of the ports, and nothing else."""

from __future__ import annotations

from gateway.integrations.http import Http
from gateway.integrations.standard.source import StandardSource
from gateway.integrations.stripe.client import StripeClient
from gateway.integrations.stripe.source import StripeSource
from gateway.integrations.twilio.client import TwilioClient
from gateway.integrations.twilio.papers import TwilioPapers
from gateway.integrations.vapi.client import VapiClient
from gateway.integrations.vapi.imports import Describe, twilio_import
from gateway.ports import Assistants, Billing, PaperOffice, Source, Telephony
from gateway.settings import Settings
from gateway.settings.types import TwilioSettings


def sources_of(settings: Settings) -> dict[str, Source]:
    """The sources whose secrets are set, by the name in their address."""
    found: dict[str, Source] = {}
    if settings.stripe.webhook_secrets:
        found["stripe"] = StripeSource([str(secret) for secret in settings.stripe.webhook_secrets])
    if settings.standard.webhook_secrets:
        found["standard"] = StandardSource([str(secret) for secret in settings.standard.webhook_secrets])
    return found


def telephony_of(settings: Settings, http: Http) -> Telephony:
    twilio = settings.twilio
    username, password = twilio_login(twilio)
    return TwilioClient(
        http,
        base_url=twilio.base_url,
        pricing_base_url=twilio.pricing_base_url,
        account_sid=twilio.account_sid,
        username=username,
        password=password,
    )


def papers_of(settings: Settings, http: Http) -> PaperOffice:
    twilio = settings.twilio
    username, password = twilio_login(twilio)
    return TwilioPapers(
        http,
        base_url=twilio.base_url,
        numbers_base_url=twilio.numbers_base_url,
        account_sid=twilio.account_sid,
        username=username,
        password=password,
    )


def twilio_login(twilio: TwilioSettings) -> tuple[str, str]:
    """An API key where there is one: it can be withdrawn by itself."""
    if twilio.api_key and twilio.api_secret:
        return str(twilio.api_key), str(twilio.api_secret)
    return twilio.account_sid, str(twilio.auth_token or "")


def assistants_of(settings: Settings, http: Http) -> Assistants:
    return VapiClient(
        http,
        base_url=settings.vapi.base_url,
        api_key=str(settings.vapi.api_key),
        account_sid=settings.twilio.account_sid,
        describe=describe_numbers(settings.twilio),
    )


def describe_numbers(twilio: TwilioSettings) -> Describe:
    if twilio.api_key and twilio.api_secret:
        return twilio_import(twilio.account_sid, api_key=str(twilio.api_key), api_secret=str(twilio.api_secret))
    return twilio_import(twilio.account_sid, auth_token=str(twilio.auth_token or ""))


def billing_of(settings: Settings, http: Http) -> Billing | None:
    if not settings.stripe.api_key:
        return None
    return StripeClient(http, base_url=settings.stripe.base_url, api_key=str(settings.stripe.api_key))

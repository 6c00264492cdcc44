"""Every setting's name, and where a person finds its value. What each means: docs/settings.md."""

from __future__ import annotations

STRIPE_CONSOLE = "Stripe Dashboard > Developers > Webhooks > your endpoint > Signing secret."
TWILIO_CONSOLE = "Twilio Console > Account > API keys & tokens."
VAPI_CONSOLE = "Vapi Dashboard > Organization > API keys (the private one)."

# Where a person finds the value; said after every fault of that setting.
WHERE = {
    "STRIPE_WEBHOOK_SECRET": f"Find it at {STRIPE_CONSOLE}",
    "STRIPE_API_KEY": "Find it at Stripe Dashboard > Developers > API keys.",
    "STANDARD_WEBHOOKS_SECRET": "Your own sending system has it; `whsec_` and base64 of 24 or more random bytes.",
    "TWILIO_ACCOUNT_SID": f"Find it at {TWILIO_CONSOLE}",
    "TWILIO_AUTH_TOKEN": f"Find it at {TWILIO_CONSOLE}",
    "TWILIO_API_KEY": f"Find it at {TWILIO_CONSOLE}",
    "TWILIO_API_SECRET": f"Twilio shows it once, when the key is made, at {TWILIO_CONSOLE}",
    "VAPI_API_KEY": f"Find it at {VAPI_CONSOLE}",
    "API_TOKENS": "Make one with: python -m gateway token NAME",
    "VAPI_ASSISTANT_ID": "Find it at Vapi Dashboard > Assistants, under the assistant's name.",
}

PROVIDER_SECRETS = ("TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET", "VAPI_API_KEY", "STRIPE_API_KEY")
SOURCE_SECRETS = ("STRIPE_WEBHOOK_SECRET", "STANDARD_WEBHOOKS_SECRET")
BASE_URLS = {
    "STRIPE_BASE_URL": "https://api.stripe.com",
    "TWILIO_BASE_URL": "https://api.twilio.com",
    "TWILIO_PRICING_BASE_URL": "https://pricing.twilio.com",
    "TWILIO_NUMBERS_BASE_URL": "https://numbers.twilio.com",
    "VAPI_BASE_URL": "https://api.vapi.ai",
}
REAL_HOSTS = ("twilio.com", "vapi.ai", "stripe.com")

# Every setting there is, in the order of docs/settings.md.
NAMES = (
    *("GATEWAY_MODE", "GATEWAY_ENV", "DATABASE_URL", "ALLOW_EPHEMERAL_SQLITE", "DB_POOL_MAX"),
    *("PORT", "HOST", "WEB_THREADS", "PUBLIC_URL", "TRUSTED_PROXIES", "SECRET_KEY", "API_TOKENS"),
    *("BRAND_NAME", "BRAND_COLOR", "BRAND_LOGO_URL"),
    *("STRIPE_WEBHOOK_SECRET", "STRIPE_LIVEMODE", "STRIPE_API_KEY", "STANDARD_WEBHOOKS_SECRET"),
    *BASE_URLS,
    *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_COMPLIANCE_FILE"),
    *("VAPI_API_KEY", "VAPI_ASSISTANT_ID", "VAPI_SERVER_URL"),
    *(
        "DEFAULT_COUNTRY",
        "DEFAULT_NUMBER_TYPE",
        "NUMBER_FALLBACK",
        "GRACE_DAYS",
        "RELEASE_AFTER_DAYS",
        "SUSPENDED_MESSAGE",
    ),
    *("PRICE_CEILING", "MAX_PURCHASES_PER_HOUR", "MAX_PURCHASES_PER_DAY", "MAX_RELEASES_PER_HOUR"),
    "MAX_RELEASE_SHARE",
    *("SETTLE_SECONDS", "TAKEN_SETTLE_SECONDS", "PROVIDER_TIMEOUT_SECONDS", "LEASE_SECONDS"),
    *("STEP_THREADS", "TWILIO_CONCURRENCY", "VAPI_CONCURRENCY", "ENGINE"),
    *("LATE_AFTER_MINUTES", "BODY_KEEP_DAYS", "LOG_FORMAT", "LOG_LEVEL"),
)
OUR_PREFIXES = (
    "GATEWAY_",
    "STRIPE_",
    "TWILIO_",
    "VAPI_",
    "STANDARD_WEBHOOKS_",
    "MAX_PURCHASES",
    "MAX_RELEASE",
    "PRICE_CEIL",
)

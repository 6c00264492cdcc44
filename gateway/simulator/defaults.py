"""The credentials that open the pretend world, and nothing else anywhere."""

from __future__ import annotations

ACCOUNT_SID = "AC" + "5a" * 16
AUTH_TOKEN = "pretend-twilio-token-" + "0f" * 8
API_KEY = "SK" + "5b" * 16
API_SECRET = "pretend-twilio-secret-" + "1e" * 8
VAPI_KEY = "pretend-vapi-key-" + "2d" * 8
STRIPE_API_KEY = "sk_test_pretend_" + "3c" * 8
STRIPE_WEBHOOK_SECRET = "whsec_pretend_" + "4b" * 12
ASSISTANT_ID = "a5515700-0000-4000-8000-000000000001"
VAPI_BASE_URL = "https://api.vapi.ai"
SEED = "ringfence"
# A bundle for South African national numbers that is handed in when the world begins and approved a day later.
BUNDLE_SID = "BU" + "5c" * 16
BUNDLE = {
    "sid": BUNDLE_SID,
    "iso_country": "ZA",
    "number_type": "national",
    "friendly_name": "South Africa: National - Business",
    "status": "pending-review",
    "then": [[3_600, "in-review"], [86_400, "twilio-approved"]],
}

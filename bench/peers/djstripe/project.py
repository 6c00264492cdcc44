"""dj-stripe as a webhook receiver: a Django project in one file, at its best.

`python project.py` migrates and adds one account, key and endpoint, so that nothing is fetched from Stripe while
it is measured; `gunicorn project:app` serves POST /stripe/webhook/<UUID>/. Environment: PEER_DB, PEER_SECRET.
SQLite as dj-stripe's users would run it for safety and speed: WAL, synchronous=FULL, BEGIN IMMEDIATE.
"""

import os
import uuid

from django.conf import settings

KEY = "sk_" + "test_" + "0" * 24  # well-formed, not a credential
ENDPOINT = "11111111-1111-4111-8111-111111111111"

settings.configure(
    DEBUG=False,
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="project",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["PEER_DB"],
            "CONN_MAX_AGE": 600,
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
            },
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djstripe"],
    USE_TZ=True,
    MIDDLEWARE=[],
    STRIPE_TEST_SECRET_KEY=KEY,
    STRIPE_LIVE_MODE=False,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)

import django  # noqa: E402

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]
app = get_wsgi_application()


def seed():
    from django.core.management import call_command
    from djstripe.models import Account, APIKey, WebhookEndpoint

    call_command("migrate", verbosity=0)
    account = Account.objects.create(
        id="acct_bench", livemode=False, stripe_data={"id": "acct_bench", "object": "account"}
    )
    APIKey.objects.bulk_create(
        [APIKey(id="sk_bench", secret=KEY, type="secret", livemode=False, djstripe_owner_account=account)]
    )
    WebhookEndpoint.objects.bulk_create(
        [
            WebhookEndpoint(
                id="we_bench",
                livemode=False,
                enabled_events=["*"],
                url="http://localhost/",
                status="enabled",
                secret=os.environ["PEER_SECRET"],
                djstripe_uuid=uuid.UUID(ENDPOINT),
                djstripe_tolerance=300,
                djstripe_validation_method="verify_signature",
                djstripe_owner_account=account,
                stripe_data={},
            )
        ]
    )


if __name__ == "__main__":
    seed()

"""A webhook that enqueues a DBOS workflow: verified, deduplicated by the event's id, on disk before the answer.

Environment: PEER_DB (a URL), PEER_SECRET. `python enqueue.py` makes the tables; `enqueue:app` is a Flask application.
As DBOS asks of a process that only hands work over: a `DBOSClient`, with as many connections as the server has threads.
"""

import hmac
import json
import os
import time

from dbos import DBOS, DBOSClient
from flask import Flask, request

SECRET = os.environ["PEER_SECRET"].encode()
TOLERANCE_SECONDS = 300
POOL = 16

app = Flask(__name__)


def is_genuine(header, body):
    stamp, signatures = "", []
    for part in (header or "").split(","):
        name, _, value = part.partition("=")
        if name == "t":
            stamp = value
        elif name == "v1":
            signatures.append(value)
    if not stamp or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    wanted = hmac.digest(SECRET, stamp.encode() + b"." + body, "sha256").hex()
    return any(hmac.compare_digest(wanted, signature) for signature in signatures)


if __name__ != "__main__":
    client = DBOSClient(system_database_url=os.environ["PEER_DB"], system_database_pool_size=POOL)


@app.get("/healthz")
def healthz():
    return "", 200


@app.post("/webhooks/stripe")
def hook():
    body = request.get_data(cache=False)
    if not is_genuine(request.headers.get("Stripe-Signature"), body):
        return "", 400
    event = json.loads(body)
    options = {"queue_name": "signups", "workflow_name": "provision", "workflow_id": event["id"]}
    client.enqueue(options, body.decode())
    return "", 200


if __name__ == "__main__":
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["PEER_DB"],
            "run_admin_server": False,
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.destroy()

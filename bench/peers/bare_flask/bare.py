"""The baseline: a Flask view that answers 200 and does nothing else."""

from flask import Flask

app = Flask(__name__)


@app.post("/webhooks/stripe")
def hook():
    return "", 200

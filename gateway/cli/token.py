"""`token`: a new token for the API. It is printed once and kept nowhere; settings have its digest."""

from __future__ import annotations

import hashlib
import secrets

import click

from gateway.errors import WrongUse
from gateway.settings import ROLES
from gateway.settings.api_tokens import NAME

PREFIX = "rf_"
RANDOM_BYTES = 32


@click.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=ROLES[0], show_default=True, help="What it may do.")
def token(name: str, role: str) -> None:
    """Make a token for the API, called NAME wherever it acts. Nothing is stored: put the line in API_TOKENS."""
    if not NAME.fullmatch(name):
        raise WrongUse("This is no name for a token: 1 to 32 of a-z 0-9 . _ -, first a letter or digit.")
    made = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    digest = hashlib.sha256(made.encode()).hexdigest()
    click.echo(f"Token, shown this once:  {made}")
    click.echo(f"For API_TOKENS:          {name}:{role}:{digest}")
    click.echo("Several entries are separated by commas. Restart the gateway afterwards.", err=True)

"""The application for any WSGI server: `gunicorn app:app`. `python -m gateway serve` is the better way in."""

from gateway.web import create_app

app = create_app()

"""Ringfence: signup and billing webhooks become working phone numbers, exactly one for each tenant."""

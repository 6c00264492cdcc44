"""Twilio, where numbers are bought."""

"""Vapi, whose assistants answer the numbers."""

"""Decides when, never what: calls `flow`, owns no rules."""

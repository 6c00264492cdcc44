"""Stripe, which says who has paid."""

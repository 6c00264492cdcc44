"""Pure rules: no clock, no network, no database, no randomness."""

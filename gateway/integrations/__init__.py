"""One folder for each outside system: its dialect, and the pretend system that speaks it back."""

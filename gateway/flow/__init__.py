"""The five verbs: receive, apply, advance, relay, reconcile. The shell around the pure core."""

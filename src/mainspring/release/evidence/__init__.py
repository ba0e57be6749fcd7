"""Evidence: what the log says about two versions, as sums that merge and e-values that may be looked at any time."""

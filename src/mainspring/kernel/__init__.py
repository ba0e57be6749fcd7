"""The words everyone shares: errors, ids, clock, durations, schema, values."""

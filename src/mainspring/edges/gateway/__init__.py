"""The gateway: answers requests from an immutable routing snapshot; no database, no user code."""

"""The prediction log: records, frames, positions, parts, queries."""

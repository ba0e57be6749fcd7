"""Protocols: a codec each, which translates a body into rows and rows' answers into a body, and does nothing else."""

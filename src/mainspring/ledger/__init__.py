"""Entries, their chain, and the transaction that writes them."""

"""Which versions exist: digests, signatures, lineage, aliases with their history."""

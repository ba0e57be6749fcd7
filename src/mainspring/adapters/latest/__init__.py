"""Latest features by key: LMDB."""

"""One examination a seam: subclass it, give a fixture, and an adapter has its tests."""

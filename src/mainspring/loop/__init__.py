"""The plan (pure), acting on it, triggers."""

"""Is it still right: drift, quality, health, silence."""

"""Is it still right: drift of inputs, quality of answers, health of the service, silence."""

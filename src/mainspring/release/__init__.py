"""Which version should answer: policies, evidence, the engine, the service."""

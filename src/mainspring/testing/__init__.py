"""Contract suites, the simulated clock, traffic, crash points, tiny models: for users' tests too."""

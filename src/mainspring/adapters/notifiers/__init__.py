"""Where alarms go: a signed webhook."""

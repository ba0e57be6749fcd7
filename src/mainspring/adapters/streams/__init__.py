"""Where records wait between gateways and control, if not in a folder of the home."""

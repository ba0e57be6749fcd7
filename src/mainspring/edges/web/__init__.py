"""The read-only page that shows the loop at a glance."""

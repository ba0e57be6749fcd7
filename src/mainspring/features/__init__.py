"""What is known about an entity: sources, views, windows, as-of joins, latest rows."""

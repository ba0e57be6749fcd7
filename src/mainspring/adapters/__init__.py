"""What touches the world: stores, tables, latest rows, runtimes, jobs, notifiers."""

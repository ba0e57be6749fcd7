"""Where bytes are kept by their digest."""

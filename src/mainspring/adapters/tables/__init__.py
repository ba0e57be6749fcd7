"""Where tables of immutable parts are kept."""

"""The control API: the verbs over HTTP, and the listener that also serves the page."""

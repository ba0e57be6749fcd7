"""Answering a request: routing, the draw, decoding, running, replay."""

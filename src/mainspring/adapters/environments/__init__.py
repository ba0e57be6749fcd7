"""Environments that versions have of their own: built by a worker from approved wheels, without a network."""

"""``mainspring demo``: flights of 2013 on a simulated clock, from data to a champion that renews itself."""

from mainspring.edges.demo.run import run

__all__ = ["run"]

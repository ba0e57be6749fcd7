"""Which modules an estimator's pickle would import, and so which distributions it needs."""

from __future__ import annotations

import pickletools
import sys
from typing import Any

from mainspring.registry.environment import capture
from mainspring.registry.version import Environment


def environment_of(estimator: Any) -> Environment:
    """Return this interpreter with the distributions that the estimator's classes and functions come from."""
    import cloudpickle

    return capture(pickled_modules(cloudpickle.dumps(estimator, protocol=5)))


def pickled_modules(pickled: bytes) -> set[str]:
    """Return the imported modules that a pickle names; nothing is loaded."""
    words = {arg for _, arg, _ in pickletools.genops(pickled) if isinstance(arg, str)}
    return {word for one in words for word in (one, one.partition(" ")[0]) if word in sys.modules}

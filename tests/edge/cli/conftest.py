"""A home with two versions of one model, made through the real services."""

from contextlib import closing
from pathlib import Path

import pytest

from mainspring.adapters.home import create_home
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import open_platform
from mainspring.project.rows import undeclared_model
from mainspring.registry.environment import capture
from mainspring.registry.version import Version


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = create_home(tmp_path / "home")
    with closing(open_platform(made)) as platform, platform.store.begin("setup") as tx:
        model = undeclared_model(tx, "flights", "late")
        for number in range(2):
            version = Version(
                id="",
                model=model,
                number=0,
                runtime="onnx",
                files={"model.onnx": platform.blobs.put(b"graph %d" % number)},
                signature=Signature("binary", (Column("x", "float"),)),
                environment=capture([]),
            )
            platform.registry.register(tx, version)
    return made.root

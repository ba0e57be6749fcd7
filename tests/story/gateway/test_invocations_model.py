from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mainspring.adapters.home import create_home
from mainspring.platform import open_platform


def test_the_model_that_invocations_mean_is_a_setting_that_reaches_gateways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = create_home(tmp_path / "home")
    (home.root / "settings.toml").write_text('invocations_model = "shop/parcels"\n')
    with closing(open_platform(home)) as platform:
        assert platform.publisher.publish().invocations == "shop/parcels"
    monkeypatch.setenv("MAINSPRING_INVOCATIONS_MODEL", "shop/vans")
    with closing(open_platform(home)) as platform:
        assert platform.publisher.publish().invocations == "shop/vans"
        assert platform.routing.read() == platform.publisher.publish()

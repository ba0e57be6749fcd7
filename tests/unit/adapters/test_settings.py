"""Settings of a home: where each value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.adapters.settings import Settings, read_settings
from mainspring.adapters.streams.kafka.place import place_of
from mainspring.kernel.errors import InvalidInput


def test_a_limit_comes_from_the_file_or_from_the_environment_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[limits]\nrows = 50\nqueue = 7\n")
    settings, shown = read_settings(tmp_path, {"MAINSPRING_LIMITS_QUEUE": "9", "MAINSPRING_LIMITS_BODY_S": "2.5"})
    assert (settings.limits.rows, settings.limits.queue, settings.limits.body_s) == (50, 9, 2.5)
    origins = {one.name: (one.value, one.origin) for one in shown}
    assert origins["limits.rows"] == (50, str(tmp_path / "settings.toml"))
    assert origins["limits.queue"] == (9, "MAINSPRING_LIMITS_QUEUE")
    assert origins["limits.requests"] == (512, "default")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limits]\nrow = 5\n", "settings.toml: is not a limit (got 'row'); did you mean 'rows'?"),
        ("[limits]\nrows = 0\n", "limits.rows: must be a whole number >= 1"),
        ("limits = 5\n", "limits: must be a table"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_settings(tmp_path, {})
    assert str(refused.value).startswith(message)


HUSH = "s3cRetXY"
TOLD = {
    "STORE": (f"postgresql://ann:{HUSH}@db:5432/shop", "postgresql://ann:***@db:5432/shop"),
    "WEBHOOK_URL": (f"https://hooks.example/services/T0/{HUSH}?token={HUSH}", "https://hooks.example/***"),
    "WEBHOOK_SECRET": (f"{HUSH}{HUSH}", "set"),
    "MLFLOW": (f"https://ann:{HUSH}@track.example?key={HUSH}", "https://ann:***@track.example?***"),
    "MLFLOW_TOKEN": (HUSH, "set"),
    "OTLP_ENDPOINT": (f"http://ann:{HUSH}@collector:4318", "http://ann:***@collector:4318"),
    "SPOOL": (f"kafka://ann:{HUSH}@broker:9092/log", "kafka://ann:***@broker:9092/log"),
    "S3_ENDPOINT": (f"http://ann:{HUSH}@buckets:8333", "http://ann:***@buckets:8333"),
}


def test_nothing_that_shows_settings_shows_a_secret(tmp_path: Path) -> None:
    settings, shown = read_settings(tmp_path, {f"MAINSPRING_{name}": given for name, (given, _) in TOLD.items()})
    told = {one.name.upper(): one.value for one in shown}
    assert {name: told[name] for name in TOLD} == {name: said for name, (_, said) in TOLD.items()}
    assert HUSH not in repr(settings) + str(settings) + repr(shown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"store": f"mysql://ann:{HUSH}@db/shop"},
        {"store": f"postgresql:/ann:{HUSH}@db/shop"},
        {"store": f"postgresql://ann:{HUSH}/x@db/shop"},
        {"store": f"postgresql://ann:x@{HUSH}@db/shop"},
        {"store": f"postgresql://ann:{HUSH}?@db/shop"},
        {"store": f"postgresql://ann:{HUSH}/shop"},
        {"store": f"postgresql://db/shop?password={HUSH}"},
        {"store": f"postgresql://db/shop?sslpassword={HUSH}"},
        {"mlflow_token": f"{HUSH}\n"},
        {"mlflow_token": f"{HUSH}é"},
        {"webhook_url": f"https://hooks.example/{HUSH}"},
    ],
)
def test_a_setting_that_is_refused_is_named_without_its_secret(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        Settings(**wrong)  # type: ignore[arg-type]
    assert HUSH not in str(refused.value)
    assert refused.value.remedy
    with pytest.raises(InvalidInput) as refused:
        read_settings(tmp_path, {f"MAINSPRING_{name.upper()}": value for name, value in wrong.items()})
    assert HUSH not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgresql://db/shop", "postgresql://ann@/shop?host=/run/pg", "postgresql://ann:p%40%2F@[::1]:5432/shop"]
)
def test_a_database_is_named_as_usual(url: str) -> None:
    assert HUSH not in repr(Settings(store=url))


@pytest.mark.parametrize("url", [f"kafka://ann:{HUSH}@broker:9092/log", f"kafka://ann:{HUSH}@broker:9092"])
def test_a_broker_is_asked_for_without_a_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="takes no user and no password") as refused:
        place_of(url)
    assert HUSH not in str(refused.value)

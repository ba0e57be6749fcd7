from pathlib import Path

import msgspec
import pytest

from mainspring.edges.api.address import ControlAddress, new_address, read_address, withdraw_address, write_address


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def test_an_address_is_published_for_the_owner_alone(home: Path) -> None:
    address = new_address("127.0.0.1", 8081)
    write_address(home, address)
    assert read_address(home) == address
    assert (home / "run" / "control.json").stat().st_mode & 0o777 == 0o600


def test_two_starts_have_different_tokens() -> None:
    assert new_address("127.0.0.1", 1).token != new_address("127.0.0.1", 1).token


def test_the_token_never_shows_in_a_repr() -> None:
    address = new_address("127.0.0.1", 8081)
    assert address.token not in repr(address)


def test_the_address_of_a_dead_process_is_none(home: Path) -> None:
    dead = ControlAddress("127.0.0.1", 1, "t", 2**22 + 1)
    (home / "run" / "control.json").write_bytes(msgspec.json.encode(dead))
    assert read_address(home) is None


def test_a_damaged_address_is_none(home: Path) -> None:
    (home / "run" / "control.json").write_bytes(b"{")
    assert read_address(home) is None


def test_an_address_is_withdrawn_but_not_that_of_another_control(home: Path) -> None:
    mine, other = new_address("127.0.0.1", 1), new_address("127.0.0.1", 2)
    write_address(home, other)
    withdraw_address(home, mine)
    assert read_address(home) == other
    withdraw_address(home, other)
    assert read_address(home) is None

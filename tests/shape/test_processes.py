"""What the long-lived processes hold: looked at in fresh interpreters."""

import subprocess
import sys

import pytest

USER_CODE = ["cloudpickle", "joblib", "sklearn", "pandas", "skl2onnx"]


def loaded(imports: str, names: list[str]) -> list[str]:
    code = f"import sys\nimport {imports}\nprint(*[one for one in {names!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("process", ["mainspring.platform", "mainspring.edges.control", "mainspring.edges.gateway.app"])
def test_control_and_gateway_load_nothing_that_runs_user_code(process):
    assert loaded(process, USER_CODE) == []


def test_a_gateway_has_no_database():
    assert loaded("mainspring.edges.gateway.app", ["sqlalchemy", "pysqlite3", "alembic", "starlette"]) == []


@pytest.mark.parametrize("name", ["mainspring", "mainspring.edges.cli"])
def test_the_command_line_starts_without_anything_heavy(name):
    heavy = ["numpy", "polars", "sqlalchemy", "onnxruntime", "scipy", "rich", "granian", "starlette", "jinja2"]
    assert loaded(name, heavy) == []

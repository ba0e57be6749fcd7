import pytest

from mainspring.adapters.mlflow_folder import read_folder
from mainspring.kernel.errors import InvalidInput


@pytest.mark.parametrize("name", ["MLmodel", "requirements.txt"])
@pytest.mark.parametrize("body", [b"\xff\xfe", b"a: \xed\xa0\x80\n"])
def test_bytes_that_are_no_text_are_refused_by_the_files_name(tmp_path, name, body):
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    python_version: 3.11.7\n")
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InvalidInput, match=f"{name}: is not text in UTF-8"):
        read_folder(tmp_path)

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[4] / "docs" / "reference" / "generate.py"


def test_the_reference_says_what_the_table_of_verbs_says() -> None:
    checked = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr

"""The Flower example, with a real SuperLink and real SuperNodes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PYTHON = TOP / ".deps" / "venv-flower" / "bin" / "python"


pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no Flower here: scripts/setup infra could not install it")


def test_its_types():
    bindings, examples = TOP / "bindings" / "python", TOP / "examples"
    env = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, (
        bindings, examples / "federated", examples / "flower")))}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", bindings / "pyproject.toml", "--cache-dir",
         os.devnull, "--python-executable", PYTHON, *sorted((examples / "flower").glob("*.py"))],
        env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)
    assert done.returncode == 0, done.stdout


def test_weights_travel_beside_flower(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(TOP / "bindings" / "python"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([PYTHON, TOP / "examples" / "flower" / "run.py"], env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=280)
    assert done.returncode == 0, done.stdout
    rounds = re.findall(r"round (\d): 3 of 3 updates, accuracy ([0-9.]+)%", done.stdout)
    assert [number for number, _ in rounds] == ["1", "2", "3"], done.stdout
    assert float(rounds[-1][1]) > 90, done.stdout

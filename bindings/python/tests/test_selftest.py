"""The self-test says what is so: that all is well, and what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pqc_secure_transfer import StreamingEncryptor, selftest


def test_all_is_well(tmp_path: Path) -> None:
    """Without any program, and without anything left behind."""
    empty = tmp_path / "tmp"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pqc_secure_transfer.selftest"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=empty,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(empty),
            "HOME": str(empty),
            "PQC_HOME": str(empty / "home"),
        },
    )
    # on a machine under load the bar of speed is nothing that a test may insist on
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert all("faster than" in line for line in failed), done.stdout + done.stderr
    assert done.returncode == (1 if failed else 0)
    assert done.stdout.splitlines()[-1] == (
        f"{len(selftest.CHECKS) - len(failed)} passed, {len(failed)} failed"
    )
    assert list(empty.iterdir()) == []


def test_what_is_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selftest, "CHECKS", (selftest.streams, selftest.key_exchange))
    monkeypatch.setattr(StreamingEncryptor, "decrypt_stream", lambda *_: bytes(32))
    assert selftest.main() == 1
    out = capsys.readouterr().out
    assert "FAIL  streams" in out and "the hashes differ" in out
    assert "ok    two parties" in out and out.endswith("1 passed, 1 failed\n")


def test_a_crash_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(_: object, *more: object) -> bytes:
        raise MemoryError("no more")

    monkeypatch.setattr(selftest, "CHECKS", (selftest.streams,))
    monkeypatch.setattr(StreamingEncryptor, "encrypt_stream", crash)
    assert selftest.main() == 1
    assert "MemoryError: no more" in capsys.readouterr().out

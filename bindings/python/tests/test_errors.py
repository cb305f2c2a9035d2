"""Exceptions: the library's codes, Python's classes."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from pathlib import Path
from typing import Any, List

import pytest

import pqc_secure_transfer as pqc
from pqc_secure_transfer import _native, errors

CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "error_class"]


def test_table_is_that_of_the_library() -> None:
    library = {}
    for code in _native.pqc_code:
        if code != _native.pqc_code.PQC_OK:
            name = _native.lib.pqc_error_name(code)
            assert _native.lib.pqc_error_code(name) == code
            library[name.decode()] = (int(code), _native.lib.pqc_error_exit_code(name))
    assert library == {name: row[:2] for name, row in errors._CODES.items()}


@pytest.mark.parametrize("name", list(errors._CODES))
def test_error_of_each_code(name: str) -> None:
    number, exit_code, kind = errors._CODES[name]
    with pytest.raises(kind) as caught:
        error = _native.pqc_error()
        error.message = "naïve: it failed".encode()
        _native.check(number, error)
    raised: Any = caught.value
    assert type(raised) is kind is pqc.error_class(name)
    assert (raised.code, raised.number, raised.exit_code) == (name, number, exit_code)
    assert str(raised) == "naïve: it failed"
    assert raised.transfer is None


@pytest.mark.parametrize("kind", CLASSES)
def test_each_can_be_pickled_and_copied(kind: type) -> None:
    raised: Any = kind("why", "timeout")
    copies: List[Any] = [pickle.loads(pickle.dumps(raised)), copy.copy(raised)]
    for again in copies:
        assert (str(again), again.code, again.number) == ("why", "timeout", -23)
        assert type(again) is kind


@pytest.mark.parametrize("kind", CLASSES)
def test_each_has_a_code_of_its_own_class(kind: type) -> None:
    raised = kind("why")
    assert pqc.error_class(raised.code) is kind
    assert str(raised) == "why"
    assert str(kind("")) == ""


@pytest.mark.parametrize(
    "kind, builtin, number",
    [
        (pqc.NotFoundError, FileNotFoundError, errno.ENOENT),
        (pqc.RefusedError, PermissionError, errno.EACCES),
        (pqc.TemporaryError, ConnectionError, None),
        (pqc.TimedOutError, TimeoutError, errno.ETIMEDOUT),
        (pqc.AlreadyExistsError, FileExistsError, errno.EEXIST),
        (pqc.QuotaError, OSError, errno.ENOSPC),
        (pqc.IoError, OSError, errno.EIO),
    ],
)
def test_python_programmers_builtins(kind: type, builtin: type, number: int) -> None:
    with pytest.raises(builtin) as caught:
        raise kind("why")
    assert caught.value.errno == number  # type: ignore[attr-defined]


def test_other_builtins() -> None:
    for kind in (pqc.IntegrityError, pqc.NoKeyError, pqc.PassphraseError, pqc.UsageError):
        assert issubclass(kind, ValueError)
    assert issubclass(pqc.OutOfMemory, MemoryError)


def test_name_that_is_none() -> None:
    assert pqc.error_class("no such code") is pqc.PqcError


def test_message_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        pqc.open(tmp_path / "absent.pqx", tmp_path / "out", key=os.urandom(32))
    assert "absent.pqx" in str(caught.value)
    assert isinstance(caught.value, pqc.NotFoundError)
    assert caught.value.errno == errno.ENOENT

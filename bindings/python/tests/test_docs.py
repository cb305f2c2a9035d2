"""Every public name has a docstring and is in docs/python.md; every example of a README compiles."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any, Iterator, Tuple

import pytest
from conftest import TOP

import pqc_secure_transfer as pqc

REFERENCE = (TOP / "docs" / "python.md").read_text()
README = (TOP / "bindings" / "python" / "README.md").read_text()
MODULES = [m.name for m in pkgutil.iter_modules(pqc.__path__) if not m.name.startswith("_")]
NEW = ["aio", "client", "errors", "keys", "sealing", "server"]


def public() -> Iterator[Tuple[str, Any]]:
    for name in pqc.__all__:
        yield name, getattr(pqc, name)
    for module in NEW:
        found = importlib.import_module(f"pqc_secure_transfer.{module}")
        for name in found.__all__:
            yield f"{module}.{name}", getattr(found, name)


NAMES = dict(public())


def members(kind: type) -> Iterator[Tuple[str, Any]]:
    for name, member in vars(kind).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
            yield name, member


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_docstring(name: str) -> None:
    thing = NAMES[name]
    assert inspect.getdoc(thing), name
    if inspect.isclass(thing):
        # not the one that a dataclass makes by itself
        assert not vars(thing)["__doc__"].startswith(f"{thing.__name__}("), name
        for member, value in members(thing):
            assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("name", MODULES)
def test_module_has_a_docstring(name: str) -> None:
    assert importlib.import_module(f"pqc_secure_transfer.{name}").__doc__


@pytest.mark.parametrize("name", NAMES)
def test_it_is_in_the_reference(name: str) -> None:
    plain = name.rsplit(".", 1)[-1]
    assert re.search(rf"`(\w+\.)*{plain}\b", REFERENCE), name
    thing = NAMES[name]
    if inspect.isclass(thing) and thing.__module__.rsplit(".", 1)[-1] in NEW:
        for member, _ in members(thing):
            assert re.search(rf"\b{member}\b", REFERENCE), f"{name}.{member}"


@pytest.mark.parametrize("name", ["seal", "open", "sealed_size", "rewrap", "verify_receipt", "Client"])
def test_signature_in_the_reference(name: str) -> None:
    told = re.search(rf"`{name}\((.*?)\)( ->|`)", REFERENCE, re.S)
    assert told is not None
    names = re.findall(r"(\w+)(?==|,|$)", re.sub(r"=\S+?(?=,|$)", "", told.group(1)))
    signature = inspect.signature(NAMES[name])
    assert names == list(signature.parameters)


@pytest.mark.parametrize("name", ["seal", "open", "rewrap", "sealed_size", "verify_receipt", "Client"])
def test_every_argument_is_explained(name: str) -> None:
    thing = NAMES[name]
    text = inspect.getdoc(thing)
    assert text is not None and "Raises:" in text
    for argument in inspect.signature(thing).parameters:
        assert re.search(rf"\b{argument}\b[\w, ]*:", text), argument


def test_modules_say_what_they_export() -> None:
    for module in NEW:
        found = importlib.import_module(f"pqc_secure_transfer.{module}")
        if module != "aio":
            assert set(found.__all__) - {"Progress"} <= set(pqc.__all__), module
    assert len(set(pqc.__all__)) == len(pqc.__all__)


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_examples_of_the_readme_compile(code: str) -> None:
    for word in re.findall(r"pqc\.([A-Za-z_]\w*)", code):
        assert hasattr(pqc, word), word
    if "await" in code:
        code = "async def main():\n" + re.sub("^", "    ", code, flags=re.M)
    compile(code, "README.md", "exec")


def test_name_of_the_first_version_that_is_gone() -> None:
    with pytest.raises(ImportError, match="SecureServer"):
        from pqc_secure_transfer import SecureChannel  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(AttributeError):
        pqc.nothing  # type: ignore[attr-defined]  # noqa: B018

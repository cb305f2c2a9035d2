"""The declarations of _native against the header itself."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import TOP

from pqc_secure_transfer import _native

HEADER = TOP / "include" / "pqc.h"
TEXT = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
CODE = re.sub(r"^#.*?[^\\]$", "", TEXT, flags=re.M | re.S)  # without what is the preprocessor's

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")

STRUCTS = {
    name: thing
    for name, thing in vars(_native).items()
    if isinstance(thing, type) and issubclass(thing, ctypes.Structure) and name.startswith("pqc_")
}
ENUMS = [_native.pqc_code, _native.pqc_io]


def split(text: str) -> List[str]:
    """At the commas outside of parentheses."""
    parts, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def struct_fields(body: str) -> List[str]:
    names = []
    for declaration in filter(None, (d.strip() for d in body.split(";"))):
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        if pointer:
            names.append(pointer.group(1))
            continue
        for declarator in declaration.split(","):
            names.append(re.findall(r"\w+", re.sub(r"\[.*?\]", "", declarator))[-1])
    return names


def functions() -> Dict[str, Any]:
    found = {}
    for match in re.finditer(r"PQC_API\s+([\w\s*]+?)(\w+)\((.*?)\);", CODE, re.S):
        returns, name, takes = (re.sub(r"\s+", " ", g).strip() for g in match.groups())
        found[name] = (returns, [] if takes == "void" else split(takes))
    return found


def kind(declaration: str) -> str:
    """What ctypes must see for a C type or parameter."""
    if re.fullmatch(r"(const )?char \*\w*", declaration):
        return "text"
    if re.search(r"[*\[(]", declaration):
        return "pointer"
    words = [w for w in declaration.split() if w != "const"]
    name = {"enum": "int"}.get(words[0], words[0])
    return {"void": "None", "unsigned": "c_uint"}.get(name, f"c_{name.replace('_t', '')}")


def ctypes_kind(kind: Any) -> str:
    if kind is None:
        return "None"
    if kind is ctypes.c_char_p:
        return "text"
    pointers = (ctypes.c_void_p, ctypes._Pointer, ctypes._CFuncPtr)  # type: ignore[attr-defined]
    if issubclass(kind, pointers):
        return "pointer"
    same = {"c_ulong": "c_size" if kind is ctypes.c_size_t else "c_uint64", "c_long": "c_int64"}
    return str(same.get(kind.__name__, kind.__name__))


def sizes_fit(c: str, python: str) -> bool:
    """Secrets are text for C and plain addresses for us; size_t and uint64_t are one type here."""
    sames = [{"c_size", "c_uint64"}, {"c_uint", "c_uint32"}]
    return c == python or {c, python} in sames or (c, python) == ("text", "pointer")


@needs_cc
def test_layout_is_that_of_the_header(tmp_path: Path) -> None:
    lines, expected = [], []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        expected.append(f"{name} {ctypes.sizeof(struct)}")
        for field, *_ in struct._fields_:
            place = f"struct {name}, {field}"
            lines.append(
                f'printf("{name}.{field} %zu %zu\\n", offsetof({place}), '
                f"sizeof(((struct {name} *)0)->{field}));"
            )
            at = getattr(struct, field)
            expected.append(f"{name}.{field} {at.offset} {at.size}")
    for enum in ENUMS:
        for member in enum:
            lines.append(f'printf("{member.name} %d\\n", {member.name});')
            expected.append(f"{member.name} {member.value}")
    for name in re.findall(r"#define (PQC_\w+_(?:SIZE|UNKNOWN))\s", TEXT):
        lines.append(f'printf("{name} %llu\\n", (unsigned long long){name});')
        expected.append(f"{name} {getattr(_native, name)}")
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stdio.h>\n#include <pqc.h>\nint main(void)\n{\n" + "\n".join(lines) + "\n}\n"
    )
    program = tmp_path / "layout"
    subprocess.run(["cc", "-I", HEADER.parent, "-o", program, source], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == expected


def test_every_struct_and_field_is_declared() -> None:
    header = dict(re.findall(r"^struct (\w+) \{(.*?)^\};", TEXT, re.S | re.M))
    assert set(header) == set(STRUCTS)
    for name, body in header.items():
        assert struct_fields(body) == [f[0] for f in STRUCTS[name]._fields_], name


def test_every_value_is_declared() -> None:
    for enum in ENUMS:
        body = re.search(rf"enum {enum.__name__} \{{(.*?)\}};", TEXT, re.S)
        assert body is not None
        assert re.findall(r"PQC_\w+", body.group(1)) == [member.name for member in enum]


def test_every_function_is_declared_as_in_the_header() -> None:
    header = functions()
    assert set(header) == set(_native.FUNCTIONS)
    assert len(header) == CODE.count("PQC_API ")
    for name, (returns, takes) in header.items():
        declared_returns, declared_takes = _native.FUNCTIONS[name]
        c = [kind(returns), *map(kind, takes)]
        python = [ctypes_kind(declared_returns), *map(ctypes_kind, declared_takes)]
        assert len(c) == len(python), name
        for theirs, ours in zip(c, python):
            assert sizes_fit(theirs, ours), f"{name}: {c} {python}"


def test_library_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="PQC_LIB") as caught:
        _native.load(str(tmp_path / "libpqc.so.0"))
    assert str(tmp_path) in str(caught.value)


def fake(directory: Path, version: str, lacks: str = "") -> str:
    source, library = directory / "fake.c", directory / "fake.so"
    stubs = [f"void {name}(void) {{}}" for name in _native.FUNCTIONS
             if name not in ("pqc_version", lacks)]
    source.write_text(
        f'const char *pqc_version(void) {{ return "{version}"; }}\n' + "\n".join(stubs) + "\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


@needs_cc
def test_library_that_lacks_a_function(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="lacks pqc_receipt_verify; this package needs"):
        _native.load(fake(tmp_path, _native.NEEDS, "pqc_receipt_verify"))


@needs_cc
def test_library_that_is_older(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="is version 0.0.9; this package needs"):
        _native.load(fake(tmp_path, "0.0.9"))


@needs_cc
@pytest.mark.parametrize("version", [_native.NEEDS, "0.10.0", "1.0.0-rc1"])
def test_library_that_will_do(tmp_path: Path, version: str) -> None:
    assert _native.load(fake(tmp_path, version)).pqc_version().decode() == version


def test_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQC_LIB", "/some/libpqc.so.0")
    if not (Path(_native.__file__).parent / "_lib").exists():
        assert _native.where() == "/some/libpqc.so.0"
        monkeypatch.delenv("PQC_LIB")
        assert _native.where() == _native.SONAME

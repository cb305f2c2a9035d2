"""The committed containers and receipts of tests/golden, opened with pqx.py by each of their keys."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from identity import PrivateIdentity
from pqx import UNSIGNED, open_container
from receipt import Bundle
from stanza import Kek, Key, Passphrase, RawKey

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text())
CASES = [(entry, key) for entry in INDEX["containers"] for key in entry["keys"]]


def key_of(key: dict[str, Any]) -> Key:
    match key:
        case {"identity": name}:
            return PrivateIdentity.from_pem((GOLDEN / name).read_bytes())
        case {"passphrase": text}:
            return Passphrase(text.encode())
        case {"raw_key": raw}:
            return RawKey(bytes.fromhex(raw))
        case {"kek": {"id": kek_id, "version": version, "key": raw}}:
            return Kek(bytes.fromhex(kek_id), version, bytes.fromhex(raw))
    raise ValueError(f"no key pqx.py knows: {key}")


@pytest.mark.parametrize("entry, key", CASES, ids=[f"{e['file']}-{next(iter(k))}" for e, k in CASES])
def test_golden(entry: dict[str, Any], key: dict[str, Any]) -> None:
    opened = open_container((GOLDEN / entry["file"]).read_bytes(), key_of(key))
    assert hashlib.sha512(opened.plaintext).hexdigest() == entry["plain_sha512"]
    assert len(opened.plaintext) == entry["plain_size"]
    assert opened.header.part_size == entry["part_size"]
    sender = bytes.fromhex(entry["sender_id"]) if entry["sender_id"] else UNSIGNED
    assert opened.header.sender_id == sender


@pytest.mark.parametrize("entry", INDEX["receipts"], ids=lambda e: str(e["file"]))
def test_golden_receipt(entry: dict[str, Any]) -> None:
    bundle = Bundle.from_pem((GOLDEN / entry["file"]).read_text())
    receipt = bundle.verify(bytes.fromhex(entry["server_id"]))
    assert receipt.client_id.hex() == entry["client_id"]
    assert (receipt.time, receipt.log_index) == (entry["time"], entry["log_index"])
    container = (GOLDEN / entry["container"]).read_bytes()
    assert container.startswith(bundle.header.encode())

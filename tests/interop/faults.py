"""Containers with exactly one fault each: every MUST of docs/container.md, broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from forge import A_KEK, PHRASE, RAW, THREE_PARTS, Fault, P, fault, flip, person, put
from identity import PrivateIdentity
from pqx import BODY_OFFSET, HEADER_LEN, TRAILER_LEN, UNKNOWN_SIZE, Keys, Manifest, seal_part
from primitives import u32
from stanza import BODY_LENGTHS, Stanza

Bytes = Callable[[bytes], bytes]
Parts = Callable[[Keys, bytes, list[bytes]], list[bytes]]

LEFT_OVER = "manifest has bytes left over"
UNKNOWN = {"size_known": False}


# Changes that a lambda in a loop would bind too late


def flipping(at: int) -> Bytes:
    return lambda b: flip(b, at)


def putting(at: int, new: bytes) -> Bytes:
    return lambda b: put(b, at, new)


def cutting(at: int) -> Bytes:
    return lambda b: b[:at]


def damaging(i: int, at: int) -> Parts:
    """A bit of part `i` flipped."""
    return lambda k, plain, p: [*p[:i], flip(p[i], at), *p[i + 1 :]]


def resealing(i: int, index: int, final: bool) -> Parts:
    """Part `i` sealed as if it were another one."""

    def change(k: Keys, plain: bytes, p: list[bytes]) -> list[bytes]:
        again = seal_part(k.part, index, final, plain[i * P : (i + 1) * P])
        return [*p[:i], again, *p[i + 1 :]]

    return change


def sealing(*pieces: tuple[int, int, bool]) -> Parts:
    """All parts anew: (from, to, final) for each."""
    return lambda k, plain, p: [
        seal_part(k.part, i, final, plain[a:b]) for i, (a, b, final) in enumerate(pieces)
    ]


def extending(more: bytes) -> Parts:
    return lambda k, plain, p: [*p[:-1], p[-1] + more]


def shortening(length: int) -> Parts:
    """The last part as one of that many bytes."""
    return lambda k, plain, p: [*p[:-1], p[0][:length]]


def header_faults() -> Iterator[Fault]:
    def changed(name: str, rule: str, plaintext: bytes = THREE_PARTS, **fields: Any) -> Fault:
        def change(h: Any) -> Any:
            return replace(h, **fields)

        return fault(f"header-{name}", rule, on_header=change, plaintext=plaintext)

    yield changed("magic", "magic", magic=b"\x89PQX\r\n\x1a\x0b")
    for version in (0, 2, 256):
        yield changed(f"version-{version}", "version", version=version)
    for suite in (0, 3, 256):
        yield changed(f"suite-{suite}", "suite", suite=suite)
    yield changed("suite-other-than-manifest", "manifest suite", suite=2)
    for bit in (1, 2, 8, 32, 63):
        yield changed(f"flag-bit-{bit}", "flags", flags=1 << bit)
    for size in (0, 1, 32768, 65535, 65537, 98304, 1 << 26, 1 << 31):
        yield changed(f"part-size-{size}", "part_size", b"small", part_size=size)
    true = len(THREE_PARTS)
    for size in (0, true - 1, true + 1, true + P, 2 * P):
        yield changed(f"plain-size-{size}", "body length", plain_size=size)
    for size in (2**32 * P + 1, UNKNOWN_SIZE - 1):
        yield changed(f"plain-size-{size}", "plain_size", plain_size=size)
    for at in (0, 31):
        flipped = flipping(at)
        yield fault(
            f"header-commit-{at}",
            "commit",
            on_commit=lambda h, flipped=flipped: replace(h, commit=flipped(h.commit)),
        )
    for field, at in (("flag", 31), ("file-id", 32), ("sender-id", 64), ("commit", 96)):
        yield fault(
            f"header-{field}-changed-afterwards",
            "no stanza opens",
            on_file=flipping(at),
            wrong_key=True,
        )


def key_block_faults() -> Iterator[Fault]:
    def changed(name: str, rule: str, at: int, new: bytes) -> Fault:
        return fault(f"key-block-{name}", rule, on_key_block=putting(at, new))

    def length(name: str, rule: str, change: Callable[[int], int]) -> Fault:
        return fault(
            f"key-block-length-{name}",
            rule,
            on_key_block=lambda b: u32(change(int.from_bytes(b[:4], "big"))) + b[4:],
        )

    left_over = "key block has bytes left over"
    yield length("zero", "key block truncated", lambda n: 0)
    yield length("less", "key block truncated", lambda n: n - 1)
    yield length("more", left_over, lambda n: n + 1)
    yield length("to-the-body", left_over, lambda n: 65404)
    yield length("over-the-body", "key block length", lambda n: 65405)
    yield length("huge", "key block length", lambda n: 2**32 - 1)
    yield changed("generation-0", "generation", 4, bytes(4))
    yield changed("count-0", "stanza count", 8, b"\0")
    yield changed("count-too-big", "key block truncated", 8, b"\2")
    for at in (9, 10, 11):
        yield changed(f"reserved-{at}", "key block reserved bytes", at, b"\1")
    yield fault("key-block-empty", "stanza count", on_stanzas=lambda s: [])
    yield fault("key-block-33-stanzas", "stanza count", on_stanzas=lambda s: s * 33)
    yield fault(
        "key-block-count-too-small",
        left_over,
        locks=lambda: [RAW, RAW],
        on_key_block=putting(8, b"\1"),
    )
    yield fault("key-block-mac", "key block mac", on_mac=flipping(0))
    yield fault("key-block-mac-end", "key block mac", on_mac=flipping(31))
    yield fault(
        "key-block-generation-changed-afterwards",
        "key block mac",
        on_file=putting(HEADER_LEN + 4, u32(9)),
    )
    one_raw_stanza = 4 + 4 + 4 + 4 + BODY_LENGTHS[5] + 32
    yield fault("padding-first", "padding", on_file=flipping(HEADER_LEN + one_raw_stanza))
    yield fault("padding-last", "padding", on_file=flipping(BODY_OFFSET - 1))


def stanza_faults() -> Iterator[Fault]:
    def added(name: str, rule: str, kind: int, length: int) -> Fault:
        extra = Stanza(kind, bytes(length))
        return fault(f"stanza-{name}", rule, on_stanzas=lambda s: [*s, extra])

    for kind in (0, 6, 255, 256, 65535):
        yield added(f"type-{kind}", "stanza type", kind, 112)
    for kind, length in BODY_LENGTHS.items():
        if kind != 4:
            yield added(f"type-{kind}-short", "stanza length", kind, length - 1)
            yield added(f"type-{kind}-long", "stanza length", kind, length + 1)
            yield added(f"type-{kind}-empty", "stanza length", kind, 0)
    yield fault(
        "stanza-passphrase-not-alone",
        "passphrase stanza not alone",
        on_stanzas=lambda s: [Stanza(4, u32(8192) + u32(1) + u32(1) + bytes(112)), *s],
    )
    yield fault(
        "stanza-kek-end-to-end",
        "KEK stanza in an end-to-end file",
        locks=lambda: [RAW, A_KEK],
        on_header=lambda h: replace(h, flags=1),
    )
    for name, at in (("salt", 0), ("wc", 32), ("wc-end", 63), ("dek", 64), ("tag", 111)):
        flipped = flipping(at)
        yield fault(
            f"stanza-raw-{name}",
            "no stanza opens",
            on_stanzas=lambda s, flipped=flipped: [Stanza(5, flipped(s[0].body))],
            wrong_key=True,
        )


def passphrase_faults() -> Iterator[Fault]:
    def body(name: str, rule: str, change: Bytes) -> Fault:
        return fault(
            f"stanza-passphrase-{name}",
            rule,
            key=lambda: PHRASE,
            locks=lambda: [PHRASE],
            on_stanzas=lambda s: [Stanza(4, change(s[0].body))],
        )

    yield body("short", "stanza length", cutting(-1))
    yield body("long", "stanza length", lambda b: b + b"\0")
    for name, at, values in (
        ("m", 0, (0, 8191, 1048577, 2**32 - 1)),
        ("t", 4, (0, 17, 2**32 - 1)),
        ("p", 8, (0, 17, 2**32 - 1)),
    ):
        for value in values:
            yield body(f"{name}-{value}", "Argon2id bounds", putting(at, u32(value)))


def recipient_faults() -> Iterator[Fault]:
    def body(suite: int, name: str, change: Bytes) -> Fault:
        return fault(
            f"stanza-recipient-{suite}-{name}",
            "no stanza opens",
            key=lambda: person("recipient", suite),
            locks=lambda: [person("recipient", suite).public],
            on_stanzas=lambda s: [Stanza(s[0].type, change(s[0].body))],
            wrong_key=True,
        )

    ct = 32  # after the id
    yield body(1, "mlkem", flipping(ct))
    yield body(1, "x25519", flipping(ct + 1088))
    yield body(1, "x25519-zero", putting(ct + 1088, bytes(32)))
    yield body(1, "wrap", flipping(-1))
    yield body(2, "mlkem", flipping(ct + 97))
    yield body(2, "point-off-curve", flipping(ct + 96))
    yield body(2, "point-zero", putting(ct, bytes(97)))
    yield body(2, "point-compressed-tag", putting(ct, b"\2"))
    yield body(2, "point-hybrid-tag", lambda b: put(b, ct, bytes([6 | b[ct + 96] & 1])))
    yield body(2, "wrap", flipping(-1))


def part_faults() -> Iterator[Fault]:
    def parts(name: str, rule: str, change: Parts, **kw: Any) -> Fault:
        return fault(f"part-{name}", rule, on_parts=change, **kw)

    for name, i, at in (
        ("salt", 0, 0),
        ("commitment", 0, 24),
        ("first-chunk", 0, 56),
        ("second-chunk", 1, 56 + 16400),
        ("last-tag", 2, -1),
    ):
        yield parts(name, "part", damaging(i, at))
    yield parts("swapped", "part", lambda k, _, p: [p[1], p[0], p[2]])
    yield parts("repeated", "part", lambda k, _, p: [p[0], p[0], p[2]])
    yield parts("wrong-index", "part", resealing(1, 0, False))
    yield parts("final-too-early", "part", resealing(1, 1, True))
    yield parts("last-not-final", "part", resealing(2, 2, False))
    yield parts("other-key", "part", lambda k, d, p: [seal_part(k.meta, 0, False, d[:P]), *p[1:]])
    yield parts("last-dropped", "part", lambda k, _, p: p[:-1], options=UNKNOWN)
    yield parts("last-dropped-size-known", "body length", lambda k, _, p: p[:-1])
    end = len(THREE_PARTS)
    after_final = sealing((0, P, False), (P, 2 * P, True), (2 * P, end, True))
    yield parts("after-the-final", "part", after_final, options=UNKNOWN)
    shifted = sealing((0, P - 1, False), (P - 1, 2 * P - 1, False), (2 * P - 1, end, True))
    yield parts("short-in-the-middle", "part", shifted, options=UNKNOWN)
    empty_last = sealing((0, P, False), (P, 2 * P, False), (0, 0, True))
    for known in (True, False):
        yield parts(
            f"empty-last-size-{'known' if known else 'unknown'}",
            "empty last part",
            empty_last,
            plaintext=THREE_PARTS[: 2 * P],
            options={"size_known": known},
        )
    yield parts("none", "number of parts", lambda k, _, p: [], plaintext=b"", options=UNKNOWN)
    yield parts("byte-after-last", "part", extending(b"\0"), options=UNKNOWN)
    for n in (1, 55, 56, 71, 56 + 16400, 56 + 16400 + 15):
        yield parts(f"last-of-{n}-bytes", "part length", shortening(n), options=UNKNOWN)


def manifest_faults() -> Iterator[Fault]:
    def changed(name: str, rule: str, known: bool = True, **fields: Any) -> Fault:
        return fault(
            f"manifest-{name}",
            rule,
            on_manifest=lambda m: replace(m, **fields),
            options={"size_known": known},
        )

    true = len(THREE_PARTS)
    yield changed("magic", "manifest magic", magic=b"pqxr")
    yield changed("HC", "manifest HC", hc=bytes(64))
    yield changed("root", "manifest root", root=bytes(32))
    for known in (True, False):
        state = "known" if known else "unknown"
        for n in (0, 2, 4, 3 + 2**32):
            yield changed(f"n-{n}-{state}", "manifest n", known, n=n)
        for size in (true - 1, true + 1, UNKNOWN_SIZE):
            yield changed(f"size-{size}-{state}", "manifest plain_size", known, plain_size=size)
    for auth in (2, 255):
        yield changed(f"auth-{auth}", "manifest auth", auth=auth)
    yield fault(
        "manifest-mac", "manifest mac", on_proof=lambda m, k: replace(m, proof=flip(m.proof, 0))
    )
    yield fault(
        "manifest-mac-other-key",
        "manifest mac",
        on_proof=lambda m, k: m.authenticated(replace(k, meta=k.keyblock)),
    )
    yield fault("manifest-long", LEFT_OVER, on_manifest_bytes=lambda b: b + b"\0")
    yield fault("manifest-short", "manifest truncated", on_manifest_bytes=cutting(-1))
    yield fault("manifest-empty", "manifest truncated", on_manifest_bytes=cutting(0))
    yield fault(
        "manifest-unsigned-with-sender",
        "manifest auth",
        on_header=lambda h: replace(h, sender_id=person("signer", 1).public.id),
    )


def signature_faults(suite: int) -> Iterator[Fault]:
    def signed(name: str, rule: str, **hooks: Any) -> Fault:
        return fault(
            f"signed-{suite}-{name}",
            rule,
            signer=signer,
            options={"suite": suite},
            **hooks,
        )

    def proof(name: str, change: Bytes) -> Fault:
        def on_proof(m: Manifest, k: Keys) -> Manifest:
            return replace(m, proof=change(m.proof))

        return signed(f"signature-{name}", "manifest signature", on_proof=on_proof)

    def signer() -> PrivateIdentity:
        return person("signer", suite)

    def other() -> PrivateIdentity:
        return person("somebody else", suite)

    def by_other(m: Manifest, k: Keys) -> Manifest:
        return replace(m, sig_pk=other().public.sig_pk).signed(other())

    def without_context(m: Manifest, k: Keys) -> Manifest:
        return replace(m, proof=signer().sign(m.body(), b""))

    def mac_instead(auth: int) -> Callable[[Manifest, Keys], Manifest]:
        return lambda m, k: replace(m, auth=auth, sig_pk=b"").authenticated(k)

    yield proof("start", flipping(0))
    yield proof("mldsa-end", flipping(3308))
    yield proof("end", flipping(-1))
    yield proof("short", cutting(-1))
    yield proof("long", lambda s: s + b"\0")
    yield proof("empty", cutting(0))
    yield signed("without-context", "manifest signature", on_proof=without_context)
    yield signed("by-another", "sender_id", on_proof=by_other)
    yield signed(
        "by-another-under-the-signers-key",
        "manifest signature",
        on_proof=lambda m, k: m.signed(other()),
    )
    yield signed("key-long", "sender_id", on_manifest=lambda m: replace(m, sig_pk=m.sig_pk + b"\0"))
    yield signed("trailing", LEFT_OVER, on_manifest_bytes=lambda b: b + b"\0")
    yield signed("mac-instead", "manifest auth", on_proof=mac_instead(0))
    yield signed("mac-instead-auth-2", "manifest auth", on_proof=mac_instead(2))
    yield signed(
        "sender-zero", "manifest auth", on_header=lambda h: replace(h, sender_id=bytes(32))
    )
    yield signed(
        "another-sender",
        "sender_id",
        on_header=lambda h: replace(h, sender_id=other().public.id),
    )


def file_faults() -> Iterator[Fault]:
    def changed(name: str, *rules: str, on_file: Bytes) -> Fault:
        return fault(f"file-{name}", *rules, on_file=on_file)

    def trailer(change: Callable[[int], int]) -> Bytes:
        return lambda f: f[:-8] + u32(change(int.from_bytes(f[-8:-4], "big"))) + f[-4:]

    yield changed("trailer-magic", "trailer magic", on_file=flipping(-1))
    yield changed("trailer-short", "body length", on_file=trailer(lambda n: n - 1))
    yield changed("trailer-long", "body length", on_file=trailer(lambda n: n + 1))
    yield changed("trailer-zero", "body length", on_file=trailer(lambda n: 0))
    yield changed("trailer-huge", "manifest length", on_file=trailer(lambda n: 2**32 - 1))
    yield changed("byte-after", "trailer magic", on_file=lambda f: f + b"\0")
    yield changed("twice", "body length", on_file=lambda f: f + f)
    part1 = BODY_OFFSET + 65536
    for cut in (0, 1, 127, 128, 160, 65535, 65536, 65536 + TRAILER_LEN, part1, part1 + 77, -8, -1):
        yield changed(f"cut-{cut}", "file truncated", "trailer magic", on_file=cutting(cut))


FAULTS: list[Fault] = [
    *header_faults(),
    *key_block_faults(),
    *stanza_faults(),
    *passphrase_faults(),
    *recipient_faults(),
    *part_faults(),
    *manifest_faults(),
    *signature_faults(1),
    *signature_faults(2),
    *file_faults(),
]

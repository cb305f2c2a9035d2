"""The C interface as it is: finds and loads libpqc and declares what is in pqc.h.

Nothing here is public. Names are those of pqc.h, whose comments say what they mean; tests compare
sizes, offsets, values and arguments with the header.
"""

from __future__ import annotations

import ctypes
import enum
import os
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_size_t,
    c_uint,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any, Dict, NoReturn, Sequence, Tuple

from .errors import error_class

NEEDS = "0.1.0"  # the oldest library that will do
SONAME = "libpqc.so.0"

PQC_ID_SIZE = 32
PQC_FILE_ID_SIZE = 32
PQC_KEY_SIZE = 32
PQC_SHA256_SIZE = 32
PQC_MESSAGE_SIZE = 512
PQC_SIZE_UNKNOWN = 2**64 - 1


class pqc_code(enum.IntEnum):
    PQC_OK = 0
    PQC_EFAIL = -1
    PQC_EUSAGE = -2
    PQC_ENOTFOUND = -3
    PQC_EREFUSED = -4
    PQC_ETEMP = -5
    PQC_EINTEGRITY = -6
    PQC_EQUOTA = -7
    PQC_ECONFIG = -8
    PQC_ENOMEM = -9
    PQC_EIO = -10
    PQC_ECRYPTO = -11
    PQC_EPROTO = -12
    PQC_ENOKEY = -13
    PQC_EPASSPHRASE = -14
    PQC_ECHANGED = -15
    PQC_EEXIST = -16
    PQC_EUNKNOWN_SERVER = -17
    PQC_EIDENTITY_CHANGED = -18
    PQC_ENAME = -19
    PQC_ETOOBIG = -20
    PQC_EAGAIN = -21
    PQC_ECLOSED = -22
    PQC_ETIMEOUT = -23
    PQC_EINTERRUPTED = -24


class pqc_io(enum.IntEnum):
    PQC_IO_PATH = 1
    PQC_IO_FD = 2
    PQC_IO_MEMORY = 3
    PQC_IO_CALLBACK = 4


# A field that names data of the caller's is c_void_p, also where C says uint8_t: ctypes then
# takes any address, and never makes a bytes object of a key by looking at it.

class pqc_error(Structure):
    _fields_ = [("code", c_int), ("message", c_char * PQC_MESSAGE_SIZE)]


class pqc_buffer(Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


READ = CFUNCTYPE(c_int64, c_void_p, c_void_p, c_size_t)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class pqc_source(Structure):
    _fields_ = [
        ("kind", c_int),
        ("path", c_char_p),
        ("fd", c_int),
        ("data", c_void_p),
        ("size", c_uint64),
        ("read", READ),
        ("arg", c_void_p),
    ]


class pqc_sink(Structure):
    _fields_ = [
        ("kind", c_int),
        ("path", c_char_p),
        ("replace", c_int),
        ("fd", c_int),
        ("data", c_void_p),
        ("size", c_uint64),
        ("write", WRITE),
        ("arg", c_void_p),
    ]


class pqc_progress(Structure):
    _fields_ = [
        ("done", c_uint64),
        ("total", c_uint64),
        ("resumed", c_uint64),
        ("committing", c_int),
        ("queued", c_int),
        ("position", c_uint32),
        ("estimate_ms", c_uint64),
    ]


PROGRESS = CFUNCTYPE(c_int, c_void_p, POINTER(pqc_progress))
NOTICE = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p)


class pqc_control(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("progress", PROGRESS),
        ("notice", NOTICE),
        ("arg", c_void_p),
        ("cancel", c_void_p),
    ]


class pqc_kek(Structure):
    _fields_ = [("id", c_uint8 * 16), ("version", c_uint32), ("key", c_uint8 * PQC_KEY_SIZE)]


class pqc_seal_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("suite", c_char_p),
        ("recipients", POINTER(c_void_p)),
        ("recipient_count", c_size_t),
        ("passphrase", c_void_p),
        ("raw_key", c_void_p),
        ("associated_data", c_void_p),
        ("associated_data_size", c_size_t),
        ("kek", POINTER(pqc_kek)),
        ("sign", c_void_p),
        ("part_size", c_uint32),
        ("threads", c_uint),
        ("sha256", c_void_p),
    ]


class pqc_seal_result(Structure):
    _fields_ = [
        ("file_id", c_uint8 * PQC_FILE_ID_SIZE),
        ("size", c_uint64),
        ("sealed_size", c_uint64),
        ("parts", c_uint64),
    ]


class pqc_open_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("identity", c_void_p),
        ("passphrase", c_void_p),
        ("raw_key", c_void_p),
        ("associated_data", c_void_p),
        ("associated_data_size", c_size_t),
        ("kek", POINTER(pqc_kek)),
        ("expected_sender", c_void_p),
        ("threads", c_uint),
        ("sha256", c_void_p),
    ]


class pqc_open_result(Structure):
    _fields_ = [
        ("file_id", c_uint8 * PQC_FILE_ID_SIZE),
        ("sender_id", c_uint8 * PQC_ID_SIZE),
        ("is_signed", c_int),
        ("size", c_uint64),
        ("parts", c_uint64),
        ("time", c_uint64),
        ("suite", c_char * 16),
    ]


class pqc_rewrap_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("keys", POINTER(pqc_open_options)),
        ("remove", c_void_p),
        ("remove_count", c_size_t),
        ("remove_all", c_int),
        ("add", POINTER(pqc_seal_options)),
    ]


class pqc_client_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("identity", c_void_p),
        ("known_servers", c_char_p),
        ("state_dir", c_char_p),
        ("server_id", c_void_p),
        ("accept_new", c_int),
        ("ca_file", c_char_p),
        ("threads", c_uint),
        ("connect_ms", c_uint),
        ("idle_ms", c_uint),
        ("retry_ms", c_int64),
        ("trace_parent", c_char_p),
    ]


class pqc_transfer(Structure):
    _fields_ = [
        ("server_id", c_uint8 * PQC_ID_SIZE),
        ("sender_id", c_uint8 * PQC_ID_SIZE),
        ("file_id", c_uint8 * PQC_FILE_ID_SIZE),
        ("size", c_uint64),
        ("parts", c_uint64),
        ("parts_moved", c_uint64),
        ("resumed_bytes", c_uint64),
        ("reconnects", c_uint32),
        ("seconds", c_double),
        ("queue_seconds", c_double),
        ("trace_id", c_char * 33),
        ("receipt", pqc_buffer),
    ]


class pqc_send_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("part_size", c_uint32), ("resume_memory", c_int)]


class pqc_get_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("from", c_void_p)]


class pqc_entry(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("size", c_uint64),
        ("time", c_uint64),
        ("owner", c_void_p),
    ]


EACH = CFUNCTYPE(c_int, c_void_p, POINTER(pqc_entry))


class pqc_receipt_info(Structure):
    _fields_ = [
        ("server_id", c_uint8 * PQC_ID_SIZE),
        ("sender_id", c_uint8 * PQC_ID_SIZE),
        ("file_id", c_uint8 * PQC_FILE_ID_SIZE),
        ("size", c_uint64),
        ("time", c_uint64),
        ("log_index", c_uint64),
    ]


class pqc_ping_result(Structure):
    _fields_ = [
        ("server_id", c_uint8 * PQC_ID_SIZE),
        ("suite", c_char * 16),
        ("pinned", c_int),
        ("tls_group", c_char * 64),
        ("seconds", c_double),
    ]


LOG = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)


class pqc_server_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("settings", POINTER(c_char_p)),
        ("setting_count", c_size_t),
        ("passphrase", c_void_p),
        ("log", LOG),
        ("arg", c_void_p),
    ]


_out = POINTER(c_void_p)  # of an opaque object: struct pqc_... **
_error = POINTER(pqc_error)
_buffer = POINTER(pqc_buffer)
_source = POINTER(pqc_source)
_sink = POINTER(pqc_sink)
_control = POINTER(pqc_control)

# name -> what it returns, what it takes. Objects and the caller's bytes are c_void_p.
FUNCTIONS: Dict[str, Tuple[Any, Sequence[Any]]] = {
    "pqc_version": (c_char_p, []),
    "pqc_error_name": (c_char_p, [c_int]),
    "pqc_error_code": (c_int, [c_char_p]),
    "pqc_error_meaning": (c_char_p, [c_char_p]),
    "pqc_error_exit_code": (c_int, [c_char_p]),
    "pqc_buffer_free": (None, [_buffer]),
    "pqc_cancel_new": (c_int, [_out, _error]),
    "pqc_cancel_set": (None, [c_void_p]),
    "pqc_cancel_free": (None, [c_void_p]),
    "pqc_identity_generate": (c_int, [c_char_p, _out, _error]),
    "pqc_identity_load": (c_int, [c_char_p, c_void_p, _out, _error]),
    "pqc_identity_parse": (c_int, [c_void_p, c_size_t, c_void_p, _out, _error]),
    "pqc_identity_format": (c_int, [c_void_p, c_void_p, _buffer, _error]),
    "pqc_identity_save": (c_int, [c_void_p, c_char_p, c_void_p, c_char_p, _error]),
    "pqc_identity_public": (c_int, [c_void_p, c_char_p, _out, _error]),
    "pqc_identity_free": (None, [c_void_p]),
    "pqc_public_load": (c_int, [c_char_p, _out, _error]),
    "pqc_public_parse": (c_int, [c_char_p, c_size_t, _out, _error]),
    "pqc_public_text": (c_char_p, [c_void_p]),
    "pqc_public_id": (c_void_p, [c_void_p]),
    "pqc_public_suite": (c_char_p, [c_void_p]),
    "pqc_public_free": (None, [c_void_p]),
    "pqc_kek_load": (c_int, [c_char_p, POINTER(pqc_kek), _error]),
    "pqc_kem_generate": (c_int, [c_char_p, _buffer, _buffer, _error]),
    "pqc_kem_encapsulate": (c_int, [c_char_p, c_void_p, c_size_t, _buffer, c_void_p, _error]),
    "pqc_kem_decapsulate": (
        c_int,
        [c_char_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, _error],
    ),
    "pqc_seal": (
        c_int,
        [_source, _sink, POINTER(pqc_seal_options), _control, POINTER(pqc_seal_result), _error],
    ),
    "pqc_sealed_size": (c_uint64, [c_char_p, c_uint64, c_uint32, c_int]),
    "pqc_open": (
        c_int,
        [_source, _sink, POINTER(pqc_open_options), _control, POINTER(pqc_open_result), _error],
    ),
    "pqc_rewrap": (c_int, [c_char_p, POINTER(pqc_rewrap_options), _error]),
    "pqc_inspect": (c_int, [c_char_p, _buffer, _error]),
    "pqc_client_new": (c_int, [POINTER(pqc_client_options), _out, _error]),
    "pqc_client_free": (None, [c_void_p]),
    "pqc_transfer_free": (None, [POINTER(pqc_transfer)]),
    "pqc_send": (
        c_int,
        [c_void_p, c_char_p, _source, POINTER(pqc_send_options), _control, POINTER(pqc_transfer),
         _error],
    ),
    "pqc_get": (
        c_int,
        [c_void_p, c_char_p, _sink, POINTER(pqc_get_options), _control, POINTER(pqc_transfer),
         _error],
    ),
    "pqc_list": (c_int, [c_void_p, c_char_p, EACH, c_void_p, _control, _error]),
    "pqc_delete": (c_int, [c_void_p, c_char_p, _control, _error]),
    "pqc_receipt": (c_int, [c_void_p, c_char_p, _buffer, _control, _error]),
    "pqc_receipt_verify": (c_int, [c_void_p, c_size_t, POINTER(pqc_receipt_info), _error]),
    "pqc_ping": (c_int, [c_void_p, c_char_p, POINTER(pqc_ping_result), _control, _error]),
    "pqc_known_add": (c_int, [c_char_p, c_char_p, c_void_p, _error]),
    "pqc_known_remove": (c_int, [c_char_p, c_char_p, _error]),
    "pqc_home_path": (c_int, [c_char_p, _buffer, _error]),
    "pqc_server_new": (c_int, [POINTER(pqc_server_options), _out, _error]),
    "pqc_server_address": (c_char_p, [c_void_p, c_size_t]),
    "pqc_server_public": (c_void_p, [c_void_p]),
    "pqc_server_run": (c_int, [c_void_p, _error]),
    "pqc_server_stop": (None, [c_void_p]),
    "pqc_server_reload": (None, [c_void_p]),
    "pqc_server_free": (None, [c_void_p]),
    "pqc_access_allow": (c_int, [c_char_p, c_void_p, c_char_p, c_char_p, _error]),
    "pqc_access_deny": (c_int, [c_char_p, c_void_p, _error]),
}


def where() -> str:
    """What to load: the wheel's own library, else $PQC_LIB, else the system's."""
    own = Path(__file__).with_name("_lib") / SONAME
    if own.exists():
        return str(own)
    return os.environ.get("PQC_LIB") or SONAME


def _older(version: str, than: str) -> bool:
    def numbers(text: str) -> Tuple[int, ...]:
        return tuple(int(n) for n in text.split("-")[0].split("+")[0].split("."))

    return numbers(version) < numbers(than)


def load(path: str) -> ctypes.CDLL:
    """The library at path, every function of FUNCTIONS declared. ImportError when it will not do."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"libpqc could not be loaded ({error}). Looked for: {SONAME} inside the package, "
            f"the file that $PQC_LIB names, {SONAME} of the system. Install the package's wheel, "
            "or libpqc, or set PQC_LIB to the path of a built library."
        ) from None
    missing = []
    for name, (returns, takes) in FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            missing.append(name)
            continue
        function.restype, function.argtypes = returns, list(takes)
    version = "unknown"
    if "pqc_version" not in missing:
        version = library.pqc_version().decode()
    if missing or _older(version, NEEDS):
        lacks = f" and lacks {', '.join(missing)}" if missing else ""
        raise ImportError(
            f"libpqc at {path} is version {version}{lacks}; this package needs {NEEDS} or newer. "
            "Install a newer libpqc, or the package's wheel, which brings its own."
        )
    return library


lib = load(where())


def fail(error: pqc_error) -> NoReturn:
    """Raise what error says."""
    name = lib.pqc_error_name(error.code).decode()
    raise error_class(name)(error.message.decode("utf-8", "replace"), name)


def check(result: int, error: pqc_error) -> None:
    """Raise what error says when result says that a function failed."""
    if result != pqc_code.PQC_OK:
        error.code = result
        fail(error)


def take(buffer: pqc_buffer) -> bytes:
    """The bytes of a buffer that the library filled, which is wiped and freed."""
    try:
        return ctypes.string_at(buffer.data, buffer.size) if buffer.size else b""
    finally:
        lib.pqc_buffer_free(ctypes.byref(buffer))


def init(struct: Any) -> Any:
    """PQC_INIT: struct with its struct_size."""
    struct.struct_size = ctypes.sizeof(struct)
    return struct


def home_path(leaf: str) -> str:
    """Where this user keeps leaf; pqc_home_path."""
    path, error = pqc_buffer(), pqc_error()
    check(lib.pqc_home_path(leaf.encode(), ctypes.byref(path), ctypes.byref(error)), error)
    return os.fsdecode(take(path).rstrip(b"\0"))

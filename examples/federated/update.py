"""An array as an object: one line of JSON that says what it is, then its bytes.

    {"dtype": "<f4", "shape": [1000], "round": 1, "samples": 200}    padded to 256 bytes
    raw bytes, C order, little-endian

Why not .npy: the number of samples must travel with the weights, under the same signature. Why not
pickle: reading it runs whatever its sender wanted to run.

The array lives inside the buffer that is sent: two gigabytes of weights are not copied once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict

import numpy as np
import numpy.typing as npt

HEADER = 256        # bytes; a multiple of 64, so that the array behind it is aligned
DTYPE = "<f4"

Floats = npt.NDArray[np.float32]


class BadUpdate(ValueError):
    """What came is not what was agreed on."""


@dataclass
class Update:
    buffer: npt.NDArray[np.uint8]   # header and array: what is sent
    weights: Floats                 # a view of it
    about: Dict[str, Any]           # "round", "samples", ...

    @classmethod
    def empty(cls, size: int) -> Update:
        """Room for `size` float32 numbers; fill `weights`, then `seal_header`."""
        buffer = np.zeros(HEADER + 4 * size, dtype=np.uint8)
        return cls(buffer, buffer[HEADER:].view(DTYPE), {})

    def seal_header(self, **about: Any) -> None:
        """Write the header line; about: numbers and strings."""
        self.about = about
        line = json.dumps({"dtype": DTYPE, "shape": [self.weights.size], **about}).encode()
        if len(line) >= HEADER:
            raise ValueError("the header line is too long")
        self.buffer[:HEADER] = np.frombuffer(line.ljust(HEADER - 1) + b"\n", dtype=np.uint8)

    @classmethod
    def read(cls, buffer: npt.NDArray[np.uint8], size: int) -> Update:
        """What came in buffer, which must be an array of `size` finite numbers."""
        if buffer.size != HEADER + 4 * size:
            raise BadUpdate(f"{buffer.size} bytes; expected {HEADER + 4 * size}")
        try:
            about = json.loads(buffer[:HEADER].tobytes())
        except ValueError:
            raise BadUpdate("its first line is not JSON") from None
        if not isinstance(about, dict) or about.get("dtype") != DTYPE \
                or about.get("shape") != [size]:
            raise BadUpdate(f"not {size} numbers of {DTYPE}")
        weights = buffer[HEADER:].view(DTYPE)
        if not np.isfinite(weights).all():
            raise BadUpdate("not all of its numbers are finite")
        return cls(buffer, weights, about)

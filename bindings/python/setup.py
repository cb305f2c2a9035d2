"""Builds a wheel that has the library in it.

The library is the one that `make` built in the checkout, or that of the build directory in
$PQC_BUILD. The wheel is good for every Python 3 of this kind of machine whose C library is not
older than the one it was built on.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parents[2]
LIBRARY = "libpqc.so.0"
BESIDE = "libblake3.so.0"       # where the system has none


def version():
    if not (TOP / "meson.build").exists():
        raise SystemExit("setup.py: build from a checkout: pip install CHECKOUT/bindings/python")
    return re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text()).group(1)


def library():
    directory = Path(os.environ.get("PQC_BUILD", TOP / "build"))
    if not (directory / LIBRARY).exists():
        raise SystemExit(f"setup.py: no {LIBRARY} in {directory}: run `make` in {TOP} first, "
                         "or set PQC_BUILD to a build directory")
    return directory


class BuildPackage(build_py):
    def run(self):
        super().run()
        directory, target = library(), Path(self.build_lib) / "pqc_secure_transfer" / "_lib"
        target.mkdir(parents=True, exist_ok=True)
        for name in (LIBRARY, BESIDE):
            if not (directory / name).exists():
                continue
            shutil.copy(directory / name, target / name)    # of what a link leads to
            subprocess.run(["strip", "--strip-unneeded", target / name], check=True)


class Binary(Distribution):
    def has_ext_modules(self):
        return True


class Wheel(bdist_wheel):
    """For this kind of machine, and for any Python: the library knows nothing of Python."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(version=version(), distclass=Binary,
      cmdclass={"build_py": BuildPackage, "bdist_wheel": Wheel})

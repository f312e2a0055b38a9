"""Fuzzes one target with atheris: `python -m fuzz.one TARGET` and options of libFuzzer."""

from __future__ import annotations

import shlex
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["common", "registrar.connections"]):
    from fuzz.targets import TARGETS


def main() -> None:
    warnings.simplefilter("ignore")
    name, *options = sys.argv[1:]
    again = shlex.join([sys.executable, "-m", "fuzz.one", name])  # how libFuzzer starts the processes of a merge
    atheris.Setup([again, *options], TARGETS[name])
    atheris.Fuzz()


main()

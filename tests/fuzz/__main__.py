"""Fuzzes every target, each for FUZZ_SECONDS (60): `make fuzz`.

A crash leaves its input in tests/fuzz/crashes, which tests/fuzz/test_corpus.py replays from then on. `--keep` merges
what was found into the corpus: only inputs that reach what no other one does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz import corpus
from fuzz.seeds import seeds
from fuzz.targets import TARGETS

LONGEST_INPUT = 10  # seconds
LARGEST_MEMORY = 1024  # MiB


def main() -> int:
    names = [name for name in sys.argv[1:] if name != "--keep"] or list(TARGETS)
    failed = [name for name in names if not _fuzz(name, keep="--keep" in sys.argv)]
    for name in failed:
        print(f"error: {name} broke: its input is in {corpus.CRASHES}", file=sys.stderr)
    return bool(failed)


def _fuzz(name: str, *, keep: bool) -> bool:
    print(f"fuzzing {name}", flush=True)
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    corpus.CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found, merged = (Path(scratch, folder) for folder in ("found", "merged"))
        corpus.unpack([*seeds(name), *corpus.kept(name)], found)
        done = _run(name, f"-max_total_time={seconds}", "-print_final_stats=1", str(found))
        if keep and done:
            merged.mkdir()
            _run(name, "-merge=1", str(merged), str(found))
            corpus.keep(name, merged, without=seeds(name))
    return done


def _run(name: str, *options: str) -> bool:
    limits = (f"-timeout={LONGEST_INPUT}", f"-rss_limit_mb={LARGEST_MEMORY}", "-verbosity=0")
    crashes = f"-artifact_prefix={corpus.CRASHES}/{name}-"
    return (
        subprocess.run([sys.executable, "-m", "fuzz.one", name, *limits, crashes, *options], check=False).returncode
        == 0
    )


if __name__ == "__main__":
    sys.exit(main())

"""Drive one fuzz target by coverage, for a while: `python -m tests.fuzz.run TARGET FOLDER SECONDS`.

`--planted` fuzzes with a defect in what is fuzzed: then it is finding nothing that is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["membuf.bus.nbd", "membuf.request.storage"]):
    from tests.fuzz.targets import LONGEST, TARGETS, plant


def main() -> None:
    """Fuzz until the time is over, or something is found; the exit status says which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--planted", action="store_true")
    given = parser.parse_args()
    target = TARGETS[given.target]
    if given.planted:
        plant()
    corpus, seeds = given.folder / "corpus", given.folder / "seeds"
    for folder in (corpus, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(seed)
    seconds = max(1, round(given.seconds * (1 if given.planted else target.share)))
    arguments = [
        f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=30", "-rss_limit_mb=2048",
        "-print_final_stats=1", f"-artifact_prefix={given.folder}/", str(corpus), str(seeds),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *arguments], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

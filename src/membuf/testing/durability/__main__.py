"""Kill an NBD server again and again, and see that it loses nothing.

python -m membuf.testing.durability [--kills N] [--seconds S] [--sector B] [--seed N] URI COMMAND...
"""

from __future__ import annotations

import argparse
import sys

from membuf.base.errors import MembufError
from membuf.testing.durability.ledger import Ledger, LostWriteError
from membuf.testing.durability.trial import check_kills


def main() -> int:
    """Do it; 0 where nothing was lost, 1 where something was, 2 where it could not be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m membuf.testing.durability",
        description="Start an NBD server whose disk is all zeros, write to it, kill it (SIGKILL), "
        "start it again and read: what it said was durable must be there. The disk is overwritten.",
    )
    parser.add_argument("--kills", type=int, default=10, help="how often it is killed")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long it lives at most")
    parser.add_argument("--sector", type=int, default=512, help="what it writes whole or not")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    parser.add_argument("uri", help="where the server listens: an NBD URI")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="starts it, in the foreground")
    given = parser.parse_args()
    if not given.command:
        parser.error("the command that starts the server is missing")
    try:
        ledger = check_kills(
            given.command,
            given.uri,
            kills=given.kills,
            seconds=given.seconds,
            sector=given.sector,
            seed=given.seed,
            told=_tell,
        )
    except LostWriteError as error:
        _say(error, *error.__notes__)
        return 1
    except (MembufError, OSError) as error:
        _say(error)
        return 2
    said = f"{given.kills} kills, {ledger.writes} writes, {ledger.flushes} flushes"
    sys.stdout.write(f"nothing was lost: {said}\n")
    return 0


def _tell(ledger: Ledger) -> None:
    _say(f"killed after {ledger.writes} writes, {ledger.flushes} flushes")


def _say(*lines: object) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())

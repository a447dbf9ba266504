"""Measures parts and writes the results and the page."""

import argparse
import signal
import sys

from . import report, results
from .lab import Lab, say
from .parts import LONG, SHORT
from .server import Failure


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every part (5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (2, with --full 5)")
    parser.add_argument("--full", action="store_true", help="the long parts as well, and larger shared buffers")
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"{', '.join(SHORT)}; long: {', '.join(LONG)} (all but the long ones)")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.parts if name not in SHORT | LONG]
    if unknown:
        parser.error(f"unknown part {unknown[0]}")
    chosen.seconds = max(1, round(chosen.seconds or (5 if chosen.full else 2)))
    chosen.parts = chosen.parts or [*SHORT, *(LONG if chosen.full else ())]
    return chosen


def main():
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(chosen.rounds, chosen.seconds, chosen.full)
    try:
        for name in chosen.parts:
            record = results.Record(lab, name)
            (SHORT | LONG)[name](lab, record)
            results.write(name, record.document(lab.version()))
    except Failure as failure:
        sys.exit(f"error: {name}: {failure}")
    finally:
        lab.close()
    report.main()
    say("Wrote docs/performance.json, docs/performance.md and docs/performance/*.svg")


main()

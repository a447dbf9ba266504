"""docs/performance.json: every single measurement of every part, and what it was measured on."""

import datetime
import json
import os
import re
import subprocess
from pathlib import Path

from .server import ROOT

FILE = ROOT / "docs" / "performance.json"


def git(*arguments):
    return subprocess.check_output(["git", "-C", ROOT, *arguments], text=True).strip()


def commit():
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/performance*")
    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")


def cpu():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


class Record:
    """The measurements of one part."""

    def __init__(self, lab, part):
        self.lab = lab
        self.part = part
        self.notes = []
        self.series = {}

    def add(self, contender, value, what="throughput", unit="/s", at=None):
        """One measurement; `at` is the point on the axis of a curve."""
        series = self.series.setdefault(
            (contender, what, at), {"contender": contender, "what": what, "unit": unit, "at": at, "values": []}
        )
        series["values"].append(round(value, 4))

    def skip(self, contender, why):
        self.notes.append(f"{contender} was left out: {why}.")

    def document(self, postgresql):
        return {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit(),
            "postgresql": postgresql,
            "rounds": self.lab.rounds,
            "seconds": self.lab.seconds,
            "cores": os.cpu_count(),
            "cpu": cpu(),
            "settings": self.lab.settings,
            "notes": self.notes,
            "series": list(self.series.values()),
        }


def read():
    return json.loads(FILE.read_text()) if FILE.exists() else {"parts": {}}


def write(part, document):
    """Replaces a part's results."""
    everything = read()
    everything["parts"][part] = document
    text = json.dumps(everything, indent=1, sort_keys=True)
    one_line = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)
    FILE.write_text(one_line + "\n")

"""SVG plots, the same bytes for the same measurements."""

import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "backup_codes",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "figure.facecolor": "white",
    "savefig.bbox": "tight",
})
from matplotlib import pyplot  # noqa: E402  (the backend is chosen first)

from .server import ROOT  # noqa: E402

PLACE = ROOT / "docs" / "performance"
COLORS = {"default": "#1f6fb4", "bare": "#777777", "hand": "#d97a1d"}


def save(figure, name):
    figure.savefig(PLACE / name, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def bars(axes, x, values, **look):
    """Medians, with a bar from the lowest to the highest round."""
    middles = [statistics.median(v) for v in values]
    below = [m - min(v) for m, v in zip(middles, values, strict=True)]
    above = [max(v) - m for m, v in zip(middles, values, strict=True)]
    axes.errorbar(x, middles, yerr=[below, above], capsize=3, marker="o", markersize=4, **look)


def overview(assessed):
    """Every ratio with its range, measured in its target."""
    shown = [(t, v) for t, v in assessed if v is not None]
    if not shown:
        return None
    figure, axes = pyplot.subplots(figsize=(8, 0.34 * len(shown) + 1))
    for row, (target, values) in enumerate(reversed(shown)):
        # Right of the line is better, whichever way the target points; a difference may be nothing or less.
        scores = [v / target.bound if target.at_least else target.bound / max(v, target.bound / 100) for v in values]
        middle = statistics.median(scores)
        color = "#2a8a4a" if target.reached(statistics.median(values)) else "#c0392b"
        axes.plot([min(scores), max(scores)], [row, row], color=color, linewidth=2)
        axes.plot([middle], [row], "o", color=color, markersize=5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [t.what for t, _ in reversed(shown)], fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.25, 0.5, 1, 2, 4, 8], ["0.1", "0.25", "0.5", "target", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_xlabel("times as good as the target asks for")
    save(figure, "targets.svg")
    return "targets.svg", "Every target, with the range of its rounds"


def curve(part, whats, name, xlabel, ylabel, log_y=False, base=10):
    """Series against their points on the axis."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    styles = dict(zip(whats, ("-", "--", ":"), strict=False))
    lines = {}
    for series in part["series"]:
        if series["what"] in whats and series["at"] is not None:
            lines.setdefault((series["contender"], series["what"]), []).append(series)
    for (contender, what), points in lines.items():
        points.sort(key=lambda s: s["at"])
        label = contender if len(whats) == 1 else f"{contender}, {what}"
        bars(axes, [s["at"] for s in points], [s["values"] for s in points], label=label,
             color=COLORS.get(contender), linestyle=styles[what])
    ticks = sorted({series["at"] for points in lines.values() for series in points})
    axes.set_xscale("log", base=base)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    if log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False)
    save(figure, name)


def columns(part, what, name, ylabel):
    """One column a contender."""
    shown = [s for s in part["series"] if s["what"] == what and s["at"] is None]
    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    for x, series in enumerate(shown):
        middle = statistics.median(series["values"])
        error = [[middle - min(series["values"])], [max(series["values"]) - middle]]
        axes.bar(x, middle, yerr=error, capsize=3, color=COLORS.get(series["contender"], "#8fb8d8"))
    axes.set_xticks(range(len(shown)), [s["contender"] for s in shown], rotation=30, ha="right")
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(ylabel)
    save(figure, name)


TIMES = ("time with 1 client", "time with 16 clients")
PLOTS = {
    "right": [("right.svg", "Right codes a second", lambda part, file: columns(part, "throughput", file, "codes/s"))],
    "processor": [("processor.svg", "Right codes a second, fsync off",
                   lambda part, file: columns(part, "throughput", file, "codes/s"))],
    "disk": [("disk.svg", "Bytes for a stored code", lambda part, file: columns(part, "size", file, "bytes/code"))],
    "wal": [("wal.svg", "WAL for an operation", lambda part, file: columns(part, "WAL", file, "bytes"))],
    "clients": [
        ("clients-throughput.svg", "Right codes a second by number of clients",
         lambda part, file: curve(part, ("throughput",), file, "clients", "codes/s", base=2)),
        ("clients-latency.svg", "Latency by number of clients",
         lambda part, file: curve(part, ("p50", "p99"), file, "clients", "ms", True, 2)),
    ],
    "size": [("size.svg", "Time for a right code by number of stored codes",
              lambda part, file: curve(part, TIMES, file, "stored codes", "µs"))],
    "enrol": [("enrol.svg", "Users enrolled a second by number of users in the statement",
               lambda part, file: curve(part, ("enrolment",), file, "users", "users/s"))],
}


def of_part(name, part):
    """Draws the plots of a part; their files and titles."""
    drawn = []
    for file, title, draw in PLOTS.get(name, ()) if part["series"] else ():
        draw(part, file)
        drawn.append((file, title))
    return drawn

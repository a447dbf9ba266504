"""Writes docs/performance.md and its plots from docs/performance.json alone."""

import statistics

from . import pages, plots, results
from .server import ROOT
from .targets import FIGURES, TARGETS

PAGE = ROOT / "docs" / "performance.md"


def places(value):
    """Digits behind the point that give four significant ones, none where the integer part has more."""
    return max(0, 4 - len(str(int(abs(value)))))


def number(value, more=0):
    """With four significant digits or as many as the integer part has, and more of them where that is asked for."""
    return f"{value:,.{places(value) + more}f}"


def ratio(value, more=0):
    return f"{value:.{2 + more}f}"


def spread(values, form=number):
    low, high = form(min(values)), form(max(values))
    return form(statistics.median(values)) + (f" ({low} – {high})" if low != high else "")


def reader(part):
    """Looks up the values of a series; None when there are none."""
    found = {(s["contender"], s["what"], s["at"]): s["values"] for s in part["series"]}
    return lambda contender, what, at: found.get((contender, what, at))


def table(head, rows):
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def assess(parts):
    """Each target with its values, None where it was not measured."""
    readers = {name: reader(part) for name, part in parts.items()}
    return [(target, target.compute(readers[target.part]) if target.part in parts else None) for target in TARGETS]


def verdict(target, values):
    if values is None:
        return "not measured"
    return "yes" if target.reached(statistics.median(values)) else "**no**"


def written(target, values):
    """With as many digits as show what decided: what was missed by little must not read as if it were reached."""
    if values is None:
        return ""
    form = number if target.unit else ratio
    middle = statistics.median(values)
    more = 0
    while target.reached(float(form(middle, more).replace(",", ""))) != target.reached(middle):
        more += 1
    return spread(values, lambda value: form(value, more)) + target.unit


def summary(assessed):
    rows = [[t.what, written(t, v), t.limit(), verdict(t, v)] for t, v in assessed]
    missed = [f"- {t.what}: {written(t, v)}, target {t.limit()}" for t, v in assessed if verdict(t, v) == "**no**"]
    unknown = sum(values is None for _, values in assessed)
    said = "These targets are missed:\n\n" + "\n".join(missed) if missed else "No target that was measured is missed."
    if unknown:
        said += f"\n\n{unknown} of {len(assessed)} targets were not measured."
    return f"## Targets\n\n{table(['what', 'median (range)', 'target', 'reached'], rows)}\n\n{said}"


def circumstances(part):
    settings = ", ".join(f"{name} = {value}" for name, value in part["settings"].items())
    return (f"Measured {part['date']} at commit {part['commit']}: PostgreSQL {part['postgresql']}, "
            f"{part['cores']} cores ({part['cpu']}), {part['rounds']} rounds, {part['seconds']} s for a timed run; {settings}.")


def point(at):
    return f"{at:,}" if isinstance(at, int) else at or ""


def section(name, part, assessed):
    heading, how = pages.PARTS[name]
    told = [f"## {heading}", how]
    if part["series"]:
        rows = [
            [s["contender"], s["what"], point(s["at"]), f"{spread(s['values'])} {s['unit']}"]
            for s in part["series"]
        ]
        head = ["contender", "what", "at", "median (range)"]
        if all(not row[2] for row in rows):
            head, rows = [head[0], *head[1::2]], [[row[0], row[1], row[3]] for row in rows]
        told.append(table(head, rows))
    own = [(target, values) for target, values in assessed if target.part == name and values is not None]
    compared = [[t.what, written(t, v), t.limit(), verdict(t, v)] for t, v in own]
    for of, what, compute in FIGURES:
        values = compute(reader(part)) if of == name else None
        if values:
            compared.append([what, spread(values, ratio), "", ""])
    if compared:
        told.append(table(["compared", "median (range)", "target", "reached"], compared))
    told += part["notes"]
    told += [f"![{title}](performance/{file})" for file, title in plots.of_part(name, part)]
    told.append(circumstances(part))
    return "\n\n".join(told)


def main():
    parts = results.read()["parts"]
    assessed = assess(parts)
    plots.PLACE.mkdir(parents=True, exist_ok=True)
    for old in plots.PLACE.glob("*.svg"):
        old.unlink()
    overview = plots.overview(assessed)
    told = [pages.TITLE, pages.INTRODUCTION, summary(assessed)]
    told += [f"![{overview[1]}](performance/{overview[0]})"] if overview else []
    told += [section(name, parts[name], assessed) for name in pages.PARTS if name in parts]
    PAGE.write_text("\n\n".join(told) + "\n")


if __name__ == "__main__":
    main()

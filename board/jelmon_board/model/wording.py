"""Figures as words: durations, counts, shares."""

import math

HUGE = 1e12
"""Values beyond that are no figures of a pipeline; they are written, not measured by."""
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: ``2h 5m``; a dash for none."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if abs(seconds) >= HUGE:
        return f"{seconds:.0e} s"
    if abs(seconds) < 0.995:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if abs(seconds) < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if abs(seconds) < 60:
        return f"{seconds:.0f} s"
    sign, left = ("-" if seconds < 0 else ""), round(abs(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
        elif parts:
            break
    return sign + " ".join(parts[:2])


def ago(seconds: float | None) -> str:
    """Return how long ago something was."""
    return DASH if seconds is None else "just now" if seconds < 1.5 else f"{duration(seconds)} ago"


def number(value: float | None) -> str:
    """Return a count: whole above 10, with one digit below."""
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) >= HUGE:
        return f"{value:.0e}"
    if abs(value) >= 10_000_000:
        return f"{value / 1e6:,.0f} M"
    text = f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def percent(ratio: float | None) -> str:
    """Return a ratio as percentage."""
    if ratio is None or not math.isfinite(ratio):
        return DASH
    if abs(ratio) >= HUGE:
        return f"{ratio:.0e}"
    value = ratio * 100
    return (f"{value:.0f} %" if abs(value) >= 10 or value == round(value) else f"{value:.1f} %").replace("-", MINUS)


def change(ratio: float) -> str:
    """Return a relative change with its sign, as a factor if it is large."""
    if ratio >= 4:
        return f"{ratio + 1:.0f} times"
    return f"{ratio * 100:+.0f} %".replace("-", MINUS)


def in_unit(value: float | None, unit: str) -> str:
    """Return a value of a line with its unit."""
    if unit == "s":
        return duration(value)
    if unit == "%":
        return percent(value)
    text = number(value)
    return f"{text} {unit}".replace(" /", "/") if unit and text != DASH else text

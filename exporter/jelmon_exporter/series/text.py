"""Values and label values as the Prometheus text formats write them."""

import math


def number(value: float) -> str:
    """Return a sample value as the shortest text that reads back as the same float."""
    if value != value or value in (math.inf, -math.inf):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def utf8(text: str) -> str:
    r"""Return a text that UTF-8 can hold: a byte of a file or interface name that is none appears as ``\udcff``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def escape(value: str) -> str:
    """Return a label value with backslashes, quotes and line ends escaped."""
    return utf8(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

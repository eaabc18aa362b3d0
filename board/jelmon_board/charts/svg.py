"""Elements of SVG, escaped; colours come from classes alone."""

from collections.abc import Iterable

from markupsafe import Markup, escape

Value = str | float | int


def element(name: str, *children: str, **attributes: Value | None) -> Markup:
    """Return an element. ``class_`` is the attribute ``class``, and ``_`` in other names stands for ``-``."""
    words = "".join(
        f' {"class" if key == "class_" else key.replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{words}>{inner}</{name}>")


def text(x: float, y: float, words: str, class_: str, anchor: str = "start") -> Markup:
    """Return a line of text."""
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def image(width: float, height: float, label: str, children: Iterable[str], *, class_: str, **data: Value) -> Markup:
    """Return an SVG that a screen reader announces by its label."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        class_=class_,
        role="img",
        aria_label=label,
        preserveAspectRatio="none" if class_ == "spark" else None,
        **data,
    )


def shortened(words: str, most: int) -> str:
    """Return at most so many characters."""
    return words if len(words) <= most else words[: most - 1] + "…"


def _text(value: Value) -> str:
    return str(escape(value)) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")

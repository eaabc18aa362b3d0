"""Templates: always escaped, and with the headers that let a page load nothing from elsewhere."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from jelmon import __version__
from jelmon_board.model import wording
from jelmon_board.model.alerts import web_address
from jelmon_board.settings import host_of

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends forms with the origin "null"
    "Cache-Control": "no-store",
}


def environment() -> jinja2.Environment:
    """Return the environment of all templates."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("jelmon_board"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "duration": wording.duration,
        "ago": wording.ago,
        "number": wording.number,
        "percent": wording.percent,
        "change": wording.change,
        "unit": wording.in_unit,
        "moment": moment,
        "day": lambda at: datetime.fromtimestamp(at, UTC).strftime("%d %B %Y"),
        "date_time": lambda at: datetime.fromtimestamp(at, UTC).strftime("%d %B %Y, %H:%M UTC"),
        "web_address": web_address,
        "host": host_of,
        "words": lambda text: str(text).replace("_", " "),
    }
    env.globals |= {"version": __version__, "link": link, "time": time.time}
    return env


class Templates:
    """Renders pages."""

    def __init__(self) -> None:
        self._env = environment()

    def text(self, name: str, context: Mapping[str, Any]) -> str:
        """Return a rendered template."""
        return self._env.get_template(name).render(context)


def link(path: str, **parameters: Any) -> str:
    """Return a path with its parameters, without empty ones."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", 0)}
    return f"{path}?{urlencode(given)}" if given else path


def moment(value: float | None) -> Markup:
    """Return a time; a script shows it in the reader's time zone."""
    if not value:
        return Markup(wording.DASH)
    try:
        at = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):  # a gauge may hold anything
        return Markup(wording.DASH)
    short = at.strftime("%H:%M:%S" if abs(time.time() - value) < 43200 else "%d %b %H:%M")
    return Markup('<time datetime="{}">{} UTC</time>').format(at.strftime("%Y-%m-%dT%H:%M:%SZ"), short)


def static_file(name: str) -> bytes:
    """Return a file that pages load."""
    return (resources.files("jelmon_board") / "static" / name).read_bytes()

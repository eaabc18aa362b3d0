"""Small self-contained HTML pages without scripts, for light and dark mode."""

import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from jelmon import __version__
from jelmon.service.web.health import Checks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  --line: #8884; --soft: #667; --bad: #c22; --good: #187a3c; --link: #0b57b0; --back: #fff; --fore: #1b1d21; }}
@media (prefers-color-scheme: dark) {{ :root {{
  --soft: #9aa3ad; --bad: #ff7b72; --good: #56d364; --link: #79b8ff; --back: #16181c; --fore: #e6e8eb; }} }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; background: var(--back); color: var(--fore); }}
h1 {{ font-size: 1.6rem; margin: 0 0 .5rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
a {{ color: var(--link); }}
.links {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; }}
td, th {{ text-align: left; padding: .3rem 1.5rem .3rem 0; border-bottom: 1px solid var(--line); }}
th {{ color: var(--soft); font-weight: 600; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.figures {{ display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 1.5rem 0; }} .figures div {{ min-width: 6rem; }}
.figures dt {{ color: var(--soft); font-size: .9rem; }}
.figures dd {{ margin: 0; font-size: 1.4rem; font-weight: 600; }}
.bad {{ color: var(--bad); font-weight: 600; }} .good {{ color: var(--good); }} .soft {{ color: var(--soft); }}
footer {{ margin-top: 2rem; color: var(--soft); font-size: .9rem; }}
</style></head><body><h1>{title}</h1>
{body}
<footer>jelmon {version}</footer></body></html>
"""
_OK, _FAILED = '<td class="good">ok</td>', '<td class="bad">failed</td>'


@dataclass(frozen=True, slots=True)
class Link:
    """A link on the landing page."""

    address: str
    text: str


def page(title: str, body: str) -> web.Response:
    """Return a small HTML page. ``title`` is escaped; ``body`` is HTML whose parts the caller has escaped."""
    return web.Response(
        text=_PAGE.format(title=html.escape(title), body=body, version=__version__),
        content_type="text/html",
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


def landing_page(title: str, links: list[Link], checks: Checks, overview: Callable[[], str]) -> Handler:
    """Return a handler for ``/``: links, the state of each dependency, and a live overview (HTML, already escaped)."""

    async def landing(_: web.Request) -> web.Response:
        items = "".join(
            f'<li><a href="{html.escape(link.address)}">{html.escape(link.text)}</a></li>' for link in links
        )
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td>{_OK if check.ok else _FAILED}<td>{html.escape(check.detail)}</td></tr>"
            for name, check in sorted(checks().items())
        )
        state = f'<h2>State</h2><div class="wide"><table>{rows}</table></div>' if rows else ""
        return page(title, f'<ul class="links">{items}</ul>\n{overview()}\n{state}')

    return landing

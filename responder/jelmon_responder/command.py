"""``jelmon responder``: the flags, and running until told to stop."""

import argparse
import asyncio
import os
from pathlib import Path

from jelmon.nats.connection import add_nats_arguments
from jelmon.service.lifecycle import run_until_signal
from jelmon_responder.app import Responder
from jelmon_responder.history.open import open_history
from jelmon_responder.settings import DEFAULT_ACTIONS, DEFAULT_HISTORY, DEFAULT_LISTEN, ResponderSettings

_EPILOG = """\
examples:
  jelmon responder --history.url sqlite:///var/lib/jelmon/alert-history.db
  PGPASSFILE=/etc/jelmon/pgpass jelmon responder --history.url postgresql://jelmon@db/jelmon
  jelmon responder --alertmanager.url http://127.0.0.1:9093 --nats.url nats://127.0.0.1:4222

then, in alertmanager.yml:
  receivers: [{name: responder, webhook_configs: [{url: 'http://127.0.0.1:9748/api/v1/alerts/webhook'}]}]

and to ask:
  curl 'http://127.0.0.1:9748/api/v1/alerts?status=firing&since=24h'
  curl -X POST 'http://127.0.0.1:9748/api/v1/alerts/test'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``jelmon responder``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        default=DEFAULT_LISTEN,
        help="where to listen (default: %(default)s)",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        type=Path,
        help="TLS, basic auth and headers, in the form that Prometheus' exporters share",
    )
    history = parser.add_argument_group("history")
    history.add_argument(
        "--history.url",
        dest="history_url",
        metavar="URL",
        help=f"sqlite:///path/to/file or postgresql://user@host/database (default: what the file named by "
        f"RESPONDER_DATABASE_URL_FILE holds, else {DEFAULT_HISTORY}); a password belongs in PGPASSFILE or that file",
    )
    history.add_argument(
        "--history.migrate-only",
        dest="migrate_only",
        action="store_true",
        help="bring the tables up to date and exit; for a database whose owner is not the responder's user",
    )
    alertmanager = parser.add_argument_group("Alertmanager")
    alertmanager.add_argument(
        "--alertmanager.url",
        dest="alertmanager_urls",
        metavar="URL",
        action="append",
        default=[],
        help="close alerts that ended unheard (silenced, inhibited), and allow test alerts; once for each member",
    )
    alertmanager.add_argument(
        "--alertmanager.poll-interval",
        dest="poll_interval",
        metavar="TIME",
        default="1m",
        help="how often to ask it which alerts it has (default: %(default)s)",
    )
    alertmanager.add_argument(
        "--alertmanager.settle",
        dest="settle",
        metavar="TIME",
        default="5m",
        help="believe nothing missing before it has run for so long (default: %(default)s)",
    )
    parser.add_argument(
        "--rules.file",
        dest="rules_file",
        metavar="FILE",
        type=Path,
        help="what the compiler rendered for the responder (deploy/responder/rules.json): when maintenance is, so that "
        "it is left out of durations and error budgets, and which rules Prometheus should have loaded",
    )
    add_nats_arguments(parser)
    parser.add_argument(
        "--actions.allowed",
        dest="allowed_actions",
        metavar="NAMES",
        default=",".join(DEFAULT_ACTIONS),
        help="actions that alerts may ask for in their annotation auto_actions (default: %(default)s); "
        "they are published only if NATS is given",
    )
    email = parser.add_argument_group("mail", "Off unless a server is given.")
    email.add_argument("--email.server", dest="email_server", metavar="HOST:PORT", help="the mail server (SMTP)")
    email.add_argument("--email.from", dest="email_from", metavar="ADDRESS", default="", help="sender")
    email.add_argument(
        "--email.to", dest="email_to", metavar="ADDRESSES", default="", help="recipients, separated by commas"
    )
    email.add_argument(
        "--email.security",
        dest="email_security",
        choices=("starttls", "tls", "none"),
        default="starttls",
        help="how the connection is encrypted (default: %(default)s)",
    )
    email.add_argument(
        "--email.user",
        dest="email_user",
        metavar="NAME",
        help="log in as; the password comes from the file named by RESPONDER_SMTP_PASSWORD_FILE",
    )
    email.add_argument(
        "--email.severities",
        dest="email_severities",
        metavar="NAMES",
        default="critical,warning",
        help="alerts that are mailed (default: %(default)s)",
    )
    email.add_argument(
        "--email.max-per-hour",
        dest="email_max_per_hour",
        metavar="NUMBER",
        type=int,
        default=10,
        help="beyond it notices wait and leave as one digest, save critical alerts and escalation from level 2 on "
        "(default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = ResponderSettings.read(args, os.environ)
    asyncio.run(_migrate(settings) if args.migrate_only else run_until_signal(Responder(settings)))
    return 0


async def _migrate(settings: ResponderSettings) -> None:
    history = open_history(settings.history_url)
    try:
        await history.start()
    finally:
        await history.stop()

"""``jelmon responder``: flags and wiring."""

import argparse
import asyncio
import os

from jelmon.config.reader import SettingsReader
from jelmon.nats.connection import add_nats_arguments
from jelmon.service.lifecycle import run_until_signal
from jelmon_responder.app import Responder
from jelmon_responder.history.open import open_history
from jelmon_responder.settings import DEFAULT_ACTIONS, DEFAULT_ADDRESS, DEFAULT_HISTORY, ResponderSettings

_EPILOG = """\
examples:
  jelmon responder --history.url sqlite:///var/lib/jelmon/alert-history.db
  PGPASSFILE=/etc/jelmon/pgpass jelmon responder --history.url postgresql://jelmon@db/jelmon
  jelmon responder --alertmanager.url http://127.0.0.1:9093 --nats.url nats://127.0.0.1:4222

in alertmanager.yml:
  receivers: [{name: responder, webhook_configs: [{url: 'http://127.0.0.1:9748/api/v1/alerts/webhook'}]}]

query the history or send a test alert:
  curl 'http://127.0.0.1:9748/api/v1/alerts?status=firing&since=24h'
  curl -X POST 'http://127.0.0.1:9748/api/v1/alerts/test'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon responder``."""
    parser.epilog = _EPILOG
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        metavar="ADDRESS",
        help=f"host:port, :port for all interfaces, or port for loopback (default: {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS, basic auth and headers, in the web-config format of Prometheus exporters",
    )
    web.add_argument(
        "--web.webhook-users",
        dest="web_webhook_users",
        metavar="NAMES",
        help="users of the web config, separated by commas, who alone may call the webhook and may do nothing else",
    )
    history = parser.add_argument_group("history")
    history.add_argument(
        "--history.url",
        dest="history_url",
        metavar="URL",
        help="sqlite:///path/to/file or postgresql://user@host/database, without a password (default: the URL in the "
        f"file named by RESPONDER_DATABASE_URL_FILE, else {DEFAULT_HISTORY})",
    )
    history.add_argument(
        "--history.migrate-only",
        dest="history_migrate_only",
        action="store_true",
        help="migrate the tables and exit; for databases where the responder's user does not own the tables",
    )
    alertmanager = parser.add_argument_group("Alertmanager")
    alertmanager.add_argument(
        "--alertmanager.url",
        dest="alertmanager_url",
        metavar="URL",
        action="append",
        help="close alerts whose end was not reported (silenced, inhibited) and enable test alerts; "
        "repeat for each cluster member",
    )
    alertmanager.add_argument(
        "--alertmanager.poll-interval",
        dest="alertmanager_poll_interval",
        metavar="TIME",
        help="time between requests for the active alerts (default: 1m)",
    )
    alertmanager.add_argument(
        "--alertmanager.settle",
        dest="alertmanager_settle",
        metavar="TIME",
        help="grace period after an Alertmanager start before missing alerts count as resolved (default: 5m)",
    )
    parser.add_argument(
        "--rules.file",
        dest="rules_file",
        metavar="FILE",
        help="file that `jelmon generate` renders for the responder (deploy/responder/rules.json): maintenance "
        "windows, which are excluded from durations and error budgets, and the rules that Prometheus should load",
    )
    add_nats_arguments(parser)
    parser.add_argument(
        "--actions.allowed",
        dest="actions_allowed",
        metavar="NAMES",
        help="actions that alerts may request in their auto_actions annotation; needs NATS, and authentication in "
        f"--web.config.file; '' for none (default: {','.join(DEFAULT_ACTIONS)})",
    )
    email = parser.add_argument_group("mail", "Disabled unless a server is given.")
    email.add_argument("--email.server", dest="email_server", metavar="HOST:PORT", help="SMTP server")
    email.add_argument("--email.from", dest="email_from", metavar="ADDRESS", help="sender")
    email.add_argument("--email.to", dest="email_to", metavar="ADDRESSES", help="recipients, separated by commas")
    email.add_argument(
        "--email.security",
        dest="email_security",
        choices=("starttls", "tls", "none"),
        help="encryption of the connection (default: starttls)",
    )
    email.add_argument(
        "--email.user",
        dest="email_user",
        metavar="NAME",
        help="user name; the password comes from the file named by RESPONDER_SMTP_PASSWORD_FILE",
    )
    email.add_argument(
        "--email.severities",
        dest="email_severities",
        metavar="NAMES",
        help="severities of the alerts to mail (default: critical,warning)",
    )
    email.add_argument(
        "--email.max-per-hour",
        dest="email_max_per_hour",
        metavar="NUMBER",
        type=int,
        help="maximum e-mails in any 60 minutes; further notifications wait and are sent as one digest. Critical "
        "alerts and escalations from level 2 are sent at once, and count (default: 10)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = ResponderSettings.read(SettingsReader(args, os.environ))
    asyncio.run(_migrate(settings) if args.history_migrate_only else run_until_signal(Responder(settings)))
    return 0


async def _migrate(settings: ResponderSettings) -> None:
    history = open_history(settings.history_url)
    try:
        await history.start()
    finally:
        await history.stop()

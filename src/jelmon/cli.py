"""The command line: parses, runs a subcommand, and turns errors into messages and exit codes.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args) -> int``; it is imported only when used, so
that ``jelmon --help`` is instant and no service needs the dependencies of another. Exit codes: 0 success, 1 findings,
drift or a server that does not answer, 2 wrong usage or configuration.
"""

import argparse
import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from jelmon import __version__
from jelmon.errors import JelmonError
from jelmon.installation import install_hint
from jelmon.service import logs

_OUR_CODE = re.compile(r"/jelmon(_\w+)?/[^/]+(/[^/]+)*\.py$")


class Command(NamedTuple):
    module: str
    extra: str
    help: str


COMMANDS = {
    "exporter": Command("jelmon_exporter.command", "exporter", "receive events and expose metrics at /metrics"),
    "stream": Command("jelmon_exporter.streams.stream_command", "exporter", "create and check the streams in NATS"),
    "dlq": Command(
        "jelmon_exporter.streams.dead_letters_command", "exporter", "inspect and replay events that could not be read"
    ),
    "responder": Command(
        "jelmon_responder.command", "responder", "receive Alertmanager webhooks and keep the alert history"
    ),
    "store": Command("jelmon_store.command", "store", "keep Prometheus samples in PostgreSQL or TimescaleDB"),
    "board": Command("jelmon_board.command", "board", "show pipelines, alerts and rules live in a browser"),
    "report": Command("jelmon_board.report_command", "board", "write one file about the last days of all pipelines"),
    "analyzer": Command(
        "jelmon_analyzers.command", "analyzers", "detect regressions and bottlenecks, score pipeline health"
    ),
    "analyze": Command("jelmon_analyzers.analyze.command", "analyzers", "find the change points of a CSV file"),
    "init": Command("jelmon.tools.starter.command", "generators", "write a starter project for `jelmon generate`"),
    "generate": Command(
        "jelmon_generators.commands.generate",
        "generators",
        "compile rules/ to Prometheus, Alertmanager and Grafana files",
    ),
    "rules": Command(
        "jelmon_generators.commands.rules", "generators", "compare rules with those Prometheus runs, and load them"
    ),
    "metrics": Command(
        "jelmon_generators.commands.metrics", "generators", "declare the metrics of other services for the compiler"
    ),
    "routes": Command(
        "jelmon_generators.commands.routes", "generators", "show which receivers an alert reaches, and when"
    ),
    "silences": Command(
        "jelmon_generators.commands.silences", "generators", "create Alertmanager silences from rules/windows.yaml"
    ),
    "dashboards": Command(
        "jelmon_generators.commands.dashboards", "generators", "send the dashboards to a running Grafana"
    ),
    "emit": Command("jelmon.tools.emit", "tools", "send one event, or a file of events"),
    "simulate": Command("jelmon.tools.simulate", "tools", "send the events of a simulated pipeline"),
    "replay": Command("jelmon.tools.replay", "tools", "send a recorded process event log as events"),
    "history": Command(
        "jelmon_history.command", "history", "write the samples that Prometheus would have scraped in the past"
    ),
    "demo": Command("jelmon.demo.command", "stack", "run every service on this machine with a simulated pipeline"),
}


class _Parser(argparse.ArgumentParser):
    """Report wrong usage in a line, without the page of usage that would hide it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n  hint: `{self.prog} --help` shows the flags and examples\n")


class _Help(argparse.Action):
    """Print the help of a command, which may depend on the arguments before the flag: ``emit card.finished --help``."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
        describe = parser.get_default("describe")
        sys.stdout.write(describe(namespace) if describe is not None else parser.format_help())
        parser.exit()


class _CommandList(argparse.HelpFormatter):
    """Leave room for the longest name: argparse forgets that subcommands are indented twice."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        self._action_max_length = max(self._action_max_length, 4 + max(map(len, COMMANDS)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Find the subcommand first: its arguments are added after its module is imported.
    parser, subparsers = _parser()
    chosen = next((word for word in arguments if word in COMMANDS), None)
    try:
        run = None
        if chosen is not None:
            module = _load(chosen)
            module.add_arguments(subparsers[chosen])
            run = module.run
        args, unknown = parser.parse_known_args(arguments)
        if unknown:
            _refuse(unknown[0], subparsers.get(args.command or "", parser))
        if run is None:
            parser.print_help()
            return 2
        logs.configure(level=args.log_level, form=args.log_format)
        code = int(run(args))
        sys.stdout.flush()  # a full disk is an error that can still be reported here
    except JelmonError as error:
        if "--debug" in arguments:
            raise
        print(f"jelmon: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of the output is gone: `jelmon ... | head`
        _drop_output()
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if "--debug" in arguments:
            raise
        print(f"jelmon: {error}", file=sys.stderr)
        _drop_output()
        return 1
    except Exception as error:
        if "--debug" in arguments:
            raise
        print(
            f"jelmon: internal error: {type(error).__name__}: {error}\n  at {_own_frames(error)}\n"
            "  hint: please report it with the output of --debug",
            file=sys.stderr,
        )
        return 1
    return code


def _refuse(argument: str, parser: argparse.ArgumentParser) -> None:
    """Exit with code 2 and suggest the closest flag: ``--nats.url`` for ``--nats-url``."""
    near = difflib.get_close_matches(argument.partition("=")[0], parser._option_string_actions, n=1)
    parser.error(f"unknown argument {argument}" + (f"; did you mean {near[0]}?" if near else ""))


def _drop_output() -> None:
    """Redirect stdout to /dev/null, so that the flush at interpreter exit succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _own_frames(error: Exception) -> str:
    """Return the frames of jelmon code in the traceback, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if _OUR_CODE.search(frame.filename)] or frames
    return ", ".join(f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in places[-4:])


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    # without defaults, so that the subparser does not overwrite flags given before the command
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help and exit")
    group = common.add_argument_group("logging")
    group.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        help="minimum level to log (default: info)",
    )
    group.add_argument(
        "--log.format", dest="log_format", choices=("text", "json"), help="format of log lines (default: text)"
    )
    group.add_argument("--debug", action="store_true", help="show the traceback of errors")
    parser = _Parser(
        prog="jelmon",
        parents=[common],
        add_help=False,
        formatter_class=_CommandList,
        description="Performance monitoring for pipelines in which cards move through stages.",
        epilog="`jelmon COMMAND --help` shows the flags and examples of one command.",
    )
    parser.set_defaults(log_level="info", log_format="text")
    version = f"jelmon {__version__}"
    parser.add_argument("--version", action="version", version=version, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    return parser, {
        name: subparsers.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            parents=[common],
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for name, command in COMMANDS.items()
    }


def _load(name: str):  # type: ignore[no-untyped-def] # a module, with add_arguments and run
    command = COMMANDS[name]
    try:
        return importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jelmon"):
            raise
        raise JelmonError(
            f"`jelmon {name}` needs the package that provides {error.name!r}",
            hint=install_hint(command.extra),
        ) from error


if __name__ == "__main__":
    sys.exit(main())

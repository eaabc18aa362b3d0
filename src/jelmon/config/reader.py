"""One reader for the settings of every service: a flag first, then its environment variable, then the class default."""

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jelmon.config.settings import ListenAddress, Secret, parse_duration, secret_of
from jelmon.config.urls import has_password
from jelmon.errors import ConfigError

T = TypeVar("T")


class SettingsReader:
    """Reads settings by the names of their flag and variable. Each method returns None for a setting not given.

    The flag ``--web.listen-address`` has the argparse dest ``web_listen_address``. An empty flag or variable counts as
    not given. Every method raises `ConfigError`, naming the flag or variable, for a value that cannot be read.
    """

    def __init__(self, flags: argparse.Namespace, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._flags = vars(flags)

    def text(self, flag: str = "", variable: str = "") -> str | None:
        """Return the value as it was written."""
        return self._read(flag, variable, lambda text, _: text)

    def path(self, flag: str = "", variable: str = "") -> Path | None:
        """Return a path."""
        return self._read(flag, variable, lambda text, _: Path(text))

    def duration(self, flag: str = "", variable: str = "") -> float | None:
        """Return the seconds of a duration such as ``30s``."""
        return self._read(flag, variable, lambda text, name: parse_duration(text, name=name))

    def whole(self, flag: str = "", variable: str = "") -> int | None:
        """Return a whole number."""
        return self._read(flag, variable, _whole)

    def number(self, flag: str = "", variable: str = "") -> float | None:
        """Return a finite number."""
        return self._read(flag, variable, _number)

    def address(self, flag: str = "", variable: str = "") -> ListenAddress | None:
        """Return an address to listen on."""
        return self._read(flag, variable, lambda text, name: ListenAddress.parse(text, name=name))

    def words(self, flag: str = "", variable: str = "") -> tuple[str, ...] | None:
        """Return the words of a comma-separated list. An empty flag is a list without words."""
        if flag and self._flags[_dest(flag)] == "":
            return ()
        return self._read(flag, variable, lambda text, _: tuple(filter(None, map(str.strip, text.split(",")))))

    def choice(self, flag: str, values: Mapping[str, T]) -> T | None:
        """Return the value that the word stands for."""

        def parse(text: str, name: str) -> T:
            if text not in values:
                raise ConfigError(f"{name}: {text!r} is not allowed", hint=f"write {' or '.join(values)}")
            return values[text]

        return self._read(flag, "", parse)

    def many(self, flag: str) -> tuple[str, ...]:
        """Return the values of a flag that may be repeated."""
        return tuple(self._flags[_dest(flag)] or ())

    def switch(self, flag: str) -> bool:
        """Return whether a flag without a value is given."""
        return bool(self._flags[_dest(flag)])

    def secret(self, variable: str) -> Secret | None:
        """Return what reads the secret in the file that ``<variable>_FILE`` names; see `secret_of`."""
        return secret_of(self.environ, variable)

    def database_url(self, flag: str, variable: str) -> str | None:
        """Return a database URL from the flag, without a password, or from the file that ``<variable>_FILE`` names."""
        url, secret = self.text(flag), self.secret(variable)
        if url and secret:
            raise ConfigError(f"{flag} and {variable}_FILE are both set", hint="set only one of them")
        if url and has_password(url):
            raise ConfigError(
                f"{flag} contains a password, which every user of this machine can see",
                hint=f"remove it and set PGPASSFILE, or put the URL in a file and set {variable}_FILE to its path",
            )
        return url or (secret() if secret else None) or None

    def _read(self, flag: str, variable: str, parse: Callable[[str, str], T]) -> T | None:
        for name, value in ((flag, self._flags[_dest(flag)] if flag else None), (variable, self.environ.get(variable))):
            if value is not None and str(value):
                return parse(str(value), name)
        return None


def given(**values: Any) -> dict[str, Any]:
    """Return the settings that are given, so that the defaults of the settings class hold for the rest."""
    return {name: value for name, value in values.items() if value is not None}


def _dest(flag: str) -> str:
    return flag.removeprefix("--").replace(".", "_").replace("-", "_")


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is not a whole number", hint="write 200, for example") from error


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name}: {text!r} is not a number", hint="write 7 or 0.5, for example")
    return value

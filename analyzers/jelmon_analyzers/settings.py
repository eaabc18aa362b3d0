"""The settings that all analyzers of a process share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress

DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9747)
DEFAULT_PROMETHEUS_URL = "http://127.0.0.1:9090"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerSettings:
    """Settings of the HTTP server of the analyzers."""

    listen: ListenAddress = DEFAULT_ADDRESS
    web_config: Path | None = None

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags.

        Raises:
            ConfigError: a flag is wrong.
        """
        return cls(
            **given(
                listen=reader.address("--web.listen-address"),
                web_config=reader.path("--web.config.file"),
            )
        )

"""The board's settings, from flags and the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress, Secret
from jelmon.config.urls import has_password, is_server_url, without_secret
from jelmon.errors import ConfigError

DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9750)
DEFAULT_EXPORTER = "http://127.0.0.1:9746"
DEFAULT_ANALYZER = "http://127.0.0.1:9747"
DEFAULT_RESPONDER = "http://127.0.0.1:9748"
DEFAULT_PROMETHEUS = "http://127.0.0.1:9090"
DEFAULT_ALERTMANAGER = "http://127.0.0.1:9093"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where the board reads. ``embedded``: it keeps the lines itself and asks no Prometheus."""

    exporters: tuple[str, ...] = (DEFAULT_EXPORTER,)
    analyzers: tuple[str, ...] = (DEFAULT_ANALYZER,)
    responder: str = DEFAULT_RESPONDER
    prometheus: str = DEFAULT_PROMETHEUS
    alertmanager: str = DEFAULT_ALERTMANAGER
    alertmanager_link: str = ""
    """Where a browser reaches Alertmanager; empty: where the board does."""
    embedded: bool = False
    credentials: Secret | None = None
    """Reads ``user:password`` for exporter, analyzers and responder."""

    def __post_init__(self) -> None:
        flags = {
            "--exporter.url": self.exporters,
            "--analyzer.url": self.analyzers,
            "--responder.url": (self.responder,),
            "--prometheus.url": (self.prometheus,),
            "--alertmanager.url": (self.alertmanager,),
            "--alertmanager.external-url": (self.alertmanager_link,) if self.alertmanager_link else (),
        }
        for flag, urls in flags.items():
            for url in urls:
                if not is_server_url(url, ("http", "https")):
                    raise ConfigError(
                        f"{flag}: {without_secret(url)!r} is not an HTTP URL", hint="write http://127.0.0.1:9090"
                    )
                if has_password(url):
                    raise ConfigError(
                        f"{flag} contains a password, which every user of this machine can see",
                        hint="remove it; put user:password of jelmon's services in a file that "
                        "BOARD_CREDENTIALS_FILE names",
                    )
        if self.credentials is not None and ":" not in self.credentials():
            raise ConfigError("BOARD_CREDENTIALS_FILE: the file does not hold user:password", hint="write both")

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags and the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """

        def url(flag: str) -> str | None:
            text = reader.text(flag)
            return text.rstrip("/") if text else None

        def urls(flag: str) -> tuple[str, ...] | None:
            return tuple(text.rstrip("/") for text in reader.many(flag)) or None

        return cls(
            embedded=reader.switch("--embedded"),
            credentials=reader.secret("BOARD_CREDENTIALS"),
            **given(
                exporters=urls("--exporter.url"),
                analyzers=urls("--analyzer.url"),
                responder=url("--responder.url"),
                prometheus=url("--prometheus.url"),
                alertmanager=url("--alertmanager.url"),
                alertmanager_link=url("--alertmanager.external-url"),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """Settings of one board."""

    sources: SourceSettings
    listen: ListenAddress = DEFAULT_ADDRESS
    web_config: Path | None = None
    refresh_seconds: float = 5.0
    enable_actions: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.refresh_seconds <= 300:
            raise ConfigError("--refresh must be from 1s to 5m", hint="write 5s")

    @classmethod
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags and the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        return cls(
            sources=SourceSettings.read(reader),
            enable_actions=reader.switch("--enable-actions"),
            **given(
                listen=reader.address("--web.listen-address"),
                web_config=reader.path("--web.config.file"),
                refresh_seconds=reader.duration("--refresh"),
            ),
        )


def host_of(url: str) -> str:
    """Return host and port of a URL, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]

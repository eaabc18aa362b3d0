"""Real servers for the tests: each is fetched if it is missing, started once on a loopback port, and stopped."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError

ROOT = Path(__file__).resolve().parent.parent
SERVER_OF = {
    "prometheus": "JELMON_TEST_PROMETHEUS",
    "promtool": "JELMON_TEST_PROMETHEUS",
    "alertmanager": "JELMON_TEST_ALERTMANAGER",
    "amtool": "JELMON_TEST_ALERTMANAGER",
}
"""The variable that names another server to test with."""

# how long an example takes says more about what else the machine does; in CI the same commit has the same outcome
hypothesis.settings.register_profile(
    "jelmon",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("jelmon")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A test that runs the command line in this process sends log lines to a stream that pytest closes after it."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data from public repositories: JELMON_TEST_DATA, or shared/data beside the checkout.

    They are not part of this repository; without them the test is skipped.
    """
    folder = Path(os.environ.get("JELMON_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded data in {folder}; JELMON_TEST_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Path]:
    """A function from a program's name (``promtool``, ``amtool``, ``nats-server``, ...) to its path.

    JELMON_TEST_PROMETHEUS and JELMON_TEST_ALERTMANAGER name other servers to test with; their tools are beside them.
    A test that needs a program that cannot be fetched, for example without network, is skipped; in CI it fails.
    """

    def path_of(name: str) -> Path:
        if (variable := SERVER_OF.get(name)) and (server := os.environ.get(variable)):
            return Path(server).with_name(name)
        try:
            return servers.get([name], say=_say)[name]
        except SourceError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))

    return path_of


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Where the session's servers keep their data.

    Not one of pytest's folders: PostgreSQL run by root becomes another user and must pass through, and pytest closes
    its root again whenever a second session starts.
    """
    with tempfile.TemporaryDirectory(prefix="jelmon-servers-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def processes(server_folder: Path) -> Iterator[Processes]:
    """The session's child processes."""
    with Processes(server_folder / "logs") as children:
        yield children


@pytest.fixture(scope="session")
def nats_url(tool: Callable[[str], Path], processes: Processes, server_folder: Path) -> str:
    """A nats-server with JetStream. Shared: purge or name streams of your own, or start another with `launch.nats`."""
    return launch.nats(processes, tool("nats-server"), server_folder / "nats")


@pytest.fixture(scope="session")
def redis_server(tool: Callable[[str], Path], processes: Processes, server_folder: Path) -> str:
    """A redis-server; its URL without a database number."""
    return launch.redis(processes, tool("redis-server"), server_folder / "redis").rsplit("/", 1)[0]


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """An empty Redis database."""
    import redis

    url = f"{redis_server}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield url


@pytest.fixture(scope="session")
def postgres_server(tool: Callable[[str], Path], processes: Processes, server_folder: Path) -> str:
    """A PostgreSQL server; DSN of its maintenance database."""
    return launch.postgres(processes, tool("postgres"), tool("initdb"), server_folder / "postgres")


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """An empty database of its own for each test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.rsplit("/", 1)[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def jelmon(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user does: ``jelmon("emit", "--help")``."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jelmon", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=root,
            timeout=120,
        )

    return run


class Certificates:
    """Certificates made with openssl: an authority, and what it signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.authority = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True)
        new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        self._openssl(
            *new.split(),
            "-subj",
            f"/CN={name}",
            "-addext",
            usage,
            "-keyout",
            str(self._key),
            "-out",
            str(self.authority),
        )

    def sign(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", *, days: int = 30) -> tuple[Path, Path]:
        """A certificate for the given alternative names, and its key; the same ones for the same name."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists():
            return certificate, key
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n", encoding="utf-8"
        )
        new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        self._openssl(*new.split(), "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        signing = ["-CA", str(self.authority), "-CAkey", str(self._key), "-CAcreateserial", "-days", str(days)]
        self._openssl(
            "x509", "-req", "-in", str(request), *signing, "-extfile", str(extensions), "-out", str(certificate)
        )
        return certificate, key

    @staticmethod
    def _openssl(*arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that signs certificates for the tests; its files are not to be changed, copy them."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is missing: install it")
        pytest.skip("openssl is missing")
    return Certificates(tmp_path_factory.mktemp("certificates"), "authority")


def _say(text: str) -> None:
    sys.__stderr__ and sys.__stderr__.write(f"{text}\n")

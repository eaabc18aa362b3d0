"""A web-config file means what it means to Prometheus' own exporters; what is wrong is told with its place."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon.service.web import WebConfig

HASH = "$2b$04$ohK8sTIiBHcAM8WnAOnp6Og.9nXWUOxNwKjf.hDBkOuyMjDuNeTpq"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, certificates) -> Write:  # type: ignore[no-untyped-def]
    """Write a web-config file beside server.crt, server.key and ca.pem."""
    certificate, key = certificates.sign("server")
    (tmp_path / "server.crt").write_bytes(certificate.read_bytes())
    (tmp_path / "server.key").write_bytes(key.read_bytes())
    (tmp_path / "other.key").write_bytes(certificates.sign("other")[1].read_bytes())
    (tmp_path / "ca.pem").write_bytes(certificates.authority.read_bytes())

    def written(text: str) -> Path:
        path = tmp_path / "web.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "tls_server_config:\nbasic_auth_users:\nhttp_server_config:\nrate_limit:\n"],
    ids=["an empty file", "a comment", "sections whose lines are commented out"],
)
def test_an_empty_file_asks_for_nothing(write: Write, text: str) -> None:
    config = WebConfig.load(write(text))

    assert (config.tls, config.users, config.headers, config.rate_limit) == (None, {}, {}, None)


def test_the_example_of_the_exporter_toolkit_is_read(write: Write) -> None:
    users = f"basic_auth_users:\n  alice: {HASH}\n  bob: {HASH}\n"
    config = WebConfig.load(write(TLS + users + 'rate_limit:\n  interval: "1s"\n  burst: 20\n'))

    assert config.tls is not None
    assert config.tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert config.users == {"alice": HASH.encode(), "bob": HASH.encode()}
    assert config.rate_limit is not None
    assert (config.rate_limit.interval, config.rate_limit.burst) == (1.0, 20)
    assert config.warnings == ()


def test_headers_of_the_allowed_list_are_read(write: Write) -> None:
    text = """http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000; includeSubDomains
    X-Content-Type-Options: nosniff
    X-XSS-Protection: 1
    Content-Security-Policy:
"""
    expected = {
        "X-Frame-Options": "deny",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-XSS-Protection": "1",
    }

    assert expected == WebConfig.load(write(text)).headers


def test_certificate_and_key_may_stand_in_the_file(write: Write, tmp_path: Path) -> None:
    def block(name: str) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in (tmp_path / name).read_text("utf-8").splitlines())

    text = f"tls_server_config:\n  cert: {block('server.crt')}  key: {block('server.key')}"
    text += f"  client_ca: {block('ca.pem')}  client_auth_type: VerifyClientCertIfGiven\n"
    config = WebConfig.load(write(text))

    assert config.tls is not None
    assert config.tls.context.verify_mode == ssl.CERT_OPTIONAL
    assert list(config.files) == [tmp_path / "web.yml"]


def test_ciphers_have_the_names_that_go_gives_them(write: Write) -> None:
    ciphers = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n"
    config = WebConfig.load(write(f"{TLS}{ciphers}  prefer_server_cipher_suites: false\n  max_version: TLS12\n"))

    assert config.tls is not None
    offered = {cipher["name"] for cipher in config.tls.context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert offered == {"ECDHE-ECDSA-AES256-GCM-SHA384"}
    assert not config.tls.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert config.tls.context.maximum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("http_server_config:\n  http2: true\n", "http2: true is accepted, but only HTTP/1.1 is served"),
        (f"{TLS}  min_version: TLS10\n", "min_version: TLS10 is not supported, TLS 1.2 is used"),
        (
            f"{TLS}  client_auth_type: RequestClientCert\n",
            "client_auth_type: RequestClientCert verifies nothing, so no certificate is requested",
        ),
        (
            f"{TLS}basic_auth_users:\n  alice: {HASH.replace('$04$', '$18$')}\n",
            "basic_auth_users: the bcrypt cost of 'alice' makes each first login take seconds",
        ),
        (
            f"basic_auth_users:\n  alice: {HASH}\n",
            "basic_auth_users without TLS: passwords are sent in plain text",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_what_is_taken_but_not_done_to_the_letter_is_a_warning(write: Write, text: str, warning: str) -> None:
    assert WebConfig.load(write(text)).warnings == (warning,)


MISTAKES = {
    "no such section": ("tls_config:\n  a: b\n", "1: unknown field 'tls_config' in a web config"),
    "no such field": (f"{TLS}  cert_filse: a\n", "4: unknown field 'cert_filse' in tls_server_config"),
    "a section twice": (f"{TLS}{TLS}", "4: duplicate key 'tls_server_config'"),
    "junk": ("hWkNKCp3fvIx3jKnsaBI\nTuEjdwNS8A2vYdFbiKqr\n", "1: {path}: expected a mapping"),
    "no YAML": ("tls_server_config: [\n", "2: not YAML: "),
    "a list for a section": ("tls_server_config: [a]\n", "1: tls_server_config: expected a mapping"),
    "no key": ("tls_server_config:\n  cert_file: server.crt\n", "2: tls_server_config: key_file (or key) is missing"),
    "no certificate": ("tls_server_config:\n  key_file: server.key\n", "cert_file (or cert) is missing"),
    "an empty certificate path": (
        'tls_server_config:\n  cert_file: ""\n  key_file: server.key\n',
        "2: cert_file: expected a string",
    ),
    "a certificate that is not there": (
        "tls_server_config:\n  cert_file: some.crt\n  key_file: server.key\n",
        "2: cert_file: cannot read {folder}/some.crt: No such file or directory",
    ),
    "a certificate both here and there": (f"{TLS}  cert: abc\n", "4: cert and cert_file exclude each other"),
    "a key of another certificate": (
        "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key\n",
        "2: certificate and key cannot be used: key values mismatch",
    ),
    "a certificate that is none": (
        "tls_server_config:\n  cert_file: web.yml\n  key_file: server.key\n",
        "2: certificate and key cannot be used: ",
    ),
    "a client CA nobody asks for": (
        f"{TLS}  client_ca_file: ca.pem\n",
        "a client CA is given but client certificates are not requested",
    ),
    "a client CA that is not there": (
        f"{TLS}  client_ca_file: some.pem\n  client_auth_type: RequireAndVerifyClientCert\n",
        "4: client_ca_file: cannot read {folder}/some.pem",
    ),
    "a client CA that is none": (
        f"{TLS}  client_ca_file: /dev/null\n  client_auth_type: RequireAndVerifyClientCert\n",
        "4: the client CA cannot be used: ",
    ),
    "no client CA": (
        f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n",
        "4: RequireAndVerifyClientCert needs client_ca_file",
    ),
    "a policy that protects nothing": (
        f"{TLS}  client_auth_type: RequireAnyClientCert\n",
        "4: RequireAnyClientCert accepts any certificate, which protects nothing; it is not supported",
    ),
    "a policy that is none": (f"{TLS}  client_auth_type: Requir\n", "4: client_auth_type: unknown value 'Requir'"),
    "names without certificates": (
        f"{TLS}  client_allowed_sans: [a]\n",
        "4: client_allowed_sans needs verified client certificates",
    ),
    "a version that is none": (f"{TLS}  min_version: TLS111\n", "4: min_version: unknown value 'TLS111'"),
    "a broken version": (f"{TLS}  max_version: TLS11\n", "4: TLS11 is insecure and not supported"),
    "versions upside down": (
        f"{TLS}  min_version: TLS13\n  max_version: TLS12\n",
        "5: max_version is below min_version",
    ),
    "a cipher that is none": (
        f"{TLS}  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048\n",
        "5: unknown cipher suite 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048'",
    ),
    "a curve that is none": (f"{TLS}  curve_preferences: [CurveP257]\n", "4: unknown curve 'CurveP257'"),
    "a header that is not ours": (
        "http_server_config:\n  headers:\n    Content-Type: foo\n",
        "3: the header 'Content-Type' cannot be configured",
    ),
    "a header with a value that is none": (
        "http_server_config:\n  headers:\n    X-Frame-Options: foo\n",
        "3: X-Frame-Options: 'foo' is not allowed",
    ),
    "a header of two lines": (
        'http_server_config:\n  headers:\n    Content-Security-Policy: "a\\nSet-Cookie: b"\n',
        "3: Content-Security-Policy: a header value must be one line",
    ),
    "a password in the clear": (
        "basic_auth_users:\n  john: doe\n",
        "2: basic_auth_users: the password of 'john' is not a bcrypt hash",
    ),
    "a user without a password": ("basic_auth_users:\n  john:\n", "the password of 'john' is not a bcrypt hash"),
    "a user with a colon": (
        f"basic_auth_users:\n  'a:b': {HASH}\n",
        "2: a user name must not be empty or contain a colon",
    ),
    "an interval without a unit": ("rate_limit:\n  interval: 10\n", "2: interval: '10' is not a duration"),
    "no burst": ("rate_limit:\n  interval: 1s\n", "2: burst must be a whole number of at least 1"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_file_and_line(write: Write, tmp_path: Path, text: str, message: str) -> None:
    path = write(text)

    with pytest.raises(DefinitionError) as caught:
        WebConfig.load(path)

    assert message.format(path=path, folder=tmp_path) in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


def test_all_mistakes_are_told_at_once(write: Write) -> None:
    text = f"{TLS}  min_version: TLS9\nbasic_auth_users:\n  john: doe\nrate_limit:\n  interval: often\n"

    with pytest.raises(DefinitionError) as caught:
        WebConfig.load(write(text))

    assert [problem.line for problem in caught.value.problems] == [4, 6, 8]


def test_no_secret_is_quoted(write: Write) -> None:
    with pytest.raises(DefinitionError) as caught:
        WebConfig.load(write("basic_auth_users:\n  john: hunter2\nx: [\n  jane: hunter3"))

    assert "hunter" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"cannot be read: .*No such file"):
        WebConfig.load(tmp_path / "web.yml")


def test_an_encrypted_key_asks_nobody_for_a_password(write: Write, tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", "server.key", "-out", "locked.key", "-aes256", "-passout", "pass:x"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    with pytest.raises(DefinitionError, match="the key is encrypted"):
        WebConfig.load(write("tls_server_config:\n  cert_file: server.crt\n  key_file: locked.key\n"))

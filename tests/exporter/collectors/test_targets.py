"""A file of targets: what it means, and each mistake with its line."""

from pathlib import Path

import pytest

from jelmon.catalogue import PROBE_FAILURES
from jelmon.errors import DefinitionError
from jelmon_exporter.collectors.targets import Target, is_forbidden, load_targets


def write(folder: Path, text: str) -> Path:
    path = folder / "targets.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def one(line: str) -> str:
    return f"targets:\n  - name: a\n    {line}\n"


def test_everything_that_can_be_said(tmp_path: Path, certificates) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "token").write_text("Bearer abc\n", encoding="utf-8")
    text = f"""targets:
  - name: registry
    url: https://registry.example/v2/
    interval: 1m
    timeout: 10s
    method: HEAD
    expect_status: [2xx, 401]
    headers: {{Accept: application/json}}
    secret_headers: {{Authorization: token}}
    ca_file: {certificates.authority}
  - {{name: database, url: 'tcp://10.0.0.5:5432'}}
  - {{name: quick, url: 'http://127.0.0.1:1', interval: 2s}}
"""
    registry, database, quick = load_targets(write(tmp_path, text))

    assert registry == Target(
        name="registry",
        url="https://registry.example/v2/",
        interval=60,
        timeout=10,
        method="HEAD",
        expected=("2xx", "401"),
        headers=(("Accept", "application/json"),),
        secret_headers=(("Authorization", tmp_path / "token"),),
        ca_file=certificates.authority,
    )
    assert registry.all_headers() == {"Accept": "application/json", "Authorization": "Bearer abc"}
    assert [registry.expects(status) for status in (204, 401, 403, 301)] == [True, True, False, False]
    assert database == Target(name="database", url="tcp://10.0.0.5:5432")
    assert quick.timeout == 2


MISTAKES = {
    "no targets": ("targets: []\n", "1: no targets"),
    "another name for it": ("target: []\n", "unknown field 'target' in a file of targets"),
    "no name": ("targets:\n  - url: 'tcp://a:1'\n", "2: field 'name' is missing"),
    "no url": ("targets:\n  - name: a\n", "2: field 'url' is missing"),
    "an unknown field": (one("url: 'http://a'\n    intervall: 3s"), "4: unknown field 'intervall' in a target"),
    "a name twice": (
        "targets:\n  - {name: a, url: 'tcp://a:1'}\n  - {name: a, url: 'tcp://a:2'}\n",
        "3: target 'a' occurs twice",
    ),
    "a long name": (f"targets:\n  - name: {'a' * 129}\n    url: 'tcp://a:1'\n", "2: a name has at most 128"),
    "another scheme": (one("url: ftp://a/b"), "3: url: must begin with one of http://, https://, tcp://, tls://"),
    "no host": (one("url: 'http:///path'"), "3: url: the host is missing"),
    "a port that is none": (one("url: 'http://a:99999/'"), "3: url: Port out of range"),
    "port 0": (one("url: 'http://a:0/'"), "3: url: port 0 is not allowed"),
    "a stream without port": (one("url: 'tcp://a'"), "3: url: tcp:// needs a host and a port"),
    "a stream with a path": (one("url: 'tcp://a:1/b'"), "3: url: tcp:// needs a host and a port"),
    "a password": (one("url: 'https://me:hunter2@a/'"), "3: url: must not contain a user or a password"),
    "link-local": (one("url: 'http://169.254.169.254/latest'"), "3: url: 169.254.169.254 may not be probed"),
    "link-local, disguised": (one("url: 'http://[::ffff:169.254.1.1]/'"), "may not be probed"),
    "too often": (one("url: 'http://a'\n    interval: 500ms"), "4: interval must be at least 1s"),
    "no duration": (one("url: 'http://a'\n    interval: often"), "4: interval: expected a duration"),
    "more patient than regular": (
        one("url: 'http://a'\n    interval: 5s\n    timeout: 6s"),
        "5: timeout must be more than 0 and at most the interval, 5s",
    ),
    "a method that changes things": (one("url: 'http://a'\n    method: POST"), "4: method: unknown value 'POST'"),
    "no status": (one("url: 'http://a'\n    expect_status: [ok]"), "4: expect_status: 'ok' is not a status"),
    "a header of ours": (
        one("url: 'http://a'\n    headers: {Host: b}"),
        "4: headers: 'Host' is not a header that can be",
    ),
    "a header for a stream": (one("url: 'tcp://a:1'\n    headers: {A: b}"), "4: headers does not apply to tcp://"),
    "a header of two lines": (
        one('url: "http://a"\n    headers: {A: "b\\nc"}'),
        "4: headers: a header must be a single line",
    ),
    "a secret in the clear": (
        one("url: 'http://a'\n    secret_headers: {Authorization: targets.yaml}"),
        "4: a secret must not be sent over http://",
    ),
    "a secret that is not there": (
        one("url: 'https://a'\n    secret_headers: {Authorization: token}"),
        "4: header Authorization: cannot read {folder}/token: No such file or directory",
    ),
    "a secret of several lines": (
        one("url: 'https://a'\n    secret_headers: {Authorization: targets.yaml}"),
        "4: header Authorization: {folder}/targets.yaml must hold one line",
    ),
    "a CA that is not there": (one("url: 'https://a'\n    ca_file: ca.pem"), "4: ca_file: cannot use {folder}/ca.pem"),
    "a CA for nothing": (one("url: 'http://a'\n    ca_file: ca.pem"), "4: ca_file needs https:// or tls://"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(DefinitionError) as caught:
        load_targets(path)

    assert f"{path}:" in str(caught.value)
    assert message.format(folder=tmp_path) in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = one("url: ftp://a\n    interval: never\n    method: PUT\n    colour: red")

    with pytest.raises(DefinitionError) as caught:
        load_targets(write(tmp_path, text))

    assert [problem.line for problem in caught.value.problems] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("::ffff:169.254.169.254", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("0.0.0.0", True),
        ("224.0.0.1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("::1", False),
        ("2001:db8::1", False),
    ],
)
def test_which_addresses_no_probe_may_reach(address: str, forbidden: bool) -> None:
    assert is_forbidden(address) is forbidden


def test_the_example_of_the_guide_is_read(root: Path, tmp_path: Path, certificates) -> None:  # type: ignore[no-untyped-def]
    guide = (root / "docs/guides/probing-services.md").read_text(encoding="utf-8")
    (tmp_path / "artefacts.token").write_text("Bearer abc\n", encoding="utf-8")
    (tmp_path / "company-ca.pem").write_bytes(certificates.authority.read_bytes())
    targets = load_targets(write(tmp_path, guide.split("```yaml\n")[1].split("```")[0]))

    assert [target.name for target in targets] == ["registry", "artefacts", "database", "broker"]


def test_the_guide_tells_every_reason(root: Path) -> None:
    guide = (root / "docs/guides/probing-services.md").read_text(encoding="utf-8")

    assert [reason for reason in PROBE_FAILURES.closed["reason"] if f"| `{reason}` |" not in guide] == []

"""Rendered files of the small bundle match golden files, and promtool and amtool accept them and ours."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from jelmon.cli import main
from jelmon.errors import ConfigError, DefinitionError
from jelmon_generators.commands.generate import generate
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.targets import Target

Tool = Callable[[str], Path]
HERE = Path(__file__).parents[1]
CONFIGURATION = "alertmanager/alertmanager.yml"
NEWER = [("2.53", "0.26"), ("3.0", "0.27"), ("3.5", "0.28"), ("3.8", "0.29"), ("3.9", "0.30"), ("3.16", "0.34")]


def number(text: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, text.split(".")))


def version_of(program: Path) -> tuple[int, ...]:
    """Of a program of Prometheus or Alertmanager; one that does not say is a new one."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+\.\d+)", said.stdout + said.stderr)
    return number(found.group(1)) if found else (99,)


def add_what_is_newer(bundle: Path, *, teams: bool = True) -> None:
    """Channels that the oldest Alertmanager does not know, and a mail without a limit."""
    channels = bundle / "rules/channels.yaml"
    diary = "{type: teams, webhook_url_file: /etc/alertmanager/teams}" if teams else "{type: log}"
    mail = "{type: email, to: lead@example.org, from: jelmon@example.org, smarthost: 'mail.example.org:587'}"
    text = channels.read_text().replace("diary: {type: log}", f"diary: {diary}\n  lead-mail: {mail}")
    text = text.replace("[diary]", "[diary, lead-mail]")
    channels.write_text(re.sub(r"\{type: webhook, url: .*\}", "{type: webhook, url_file: /etc/alertmanager/url}", text))


def checked(*command: str | Path) -> None:
    """Run a tool; its output is the message when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "deploy/prometheus/rules/cards_per_hour.yml",
        "deploy/prometheus/rules/cpu_usage_ratio.yml",
        "deploy/prometheus/rules/queue_depth.yml",
        "docs/alerts.md",
    ],
)
def test_rendered_as_before(path: str, bundle: Path, golden: Callable[[str, str], None]) -> None:
    """`make golden` rewrites these; read the diff."""
    golden(path.replace("/", "-"), generate(bundle)[path])


@pytest.mark.parametrize(("prometheus", "alertmanager"), [("2.42", "0.25"), *NEWER])
def test_rendered_for_each_pair_of_versions(
    prometheus: str, alertmanager: str, bundle: Path, golden: Callable[[str, str], None], tool: Tool
) -> None:
    """What differs: Teams, timeouts, threads of mails, names of inhibitions. Rules and their tests do not."""
    if alertmanager != "0.25":
        add_what_is_newer(bundle, teams=alertmanager != "0.26")
    made = generate(bundle, target=Target.parse(f"prometheus={prometheus},alertmanager={alertmanager}"))

    oldest = generate(HERE / "bundle")
    assert {path for path, text in made.items() if oldest[path] != text} <= {CONFIGURATION, "docs/alerts.md"}
    golden(f"alertmanager-{alertmanager}.yml", made[CONFIGURATION])
    if number(alertmanager) <= version_of(tool("amtool")):
        config = bundle / "alertmanager.yml"
        config.write_text(made[CONFIGURATION].replace('templates: ["templates/*.tmpl"]\n', ""))
        checked(tool("amtool"), "check-config", config)


def test_a_channel_of_a_newer_alertmanager_is_refused(bundle: Path) -> None:
    """A whole type, and an option of a type: each with the version that has it."""
    add_what_is_newer(bundle)

    with pytest.raises(DefinitionError) as caught:
        generate(bundle)

    assert [(problem.message, problem.hint) for problem in caught.value.problems] == [
        ("url_file needs Alertmanager 0.26", "the target is 0.25: raise it in rules/bundle.yaml"),
        (
            "channel type 'teams' needs Alertmanager 0.27",
            "the target is 0.25: raise it in rules/bundle.yaml, or use a webhook",
        ),
    ]
    assert generate(bundle, target=Target.parse("alertmanager=0.27"))
    with (bundle / "rules/bundle.yaml").open("a") as file:  # every command that compiles takes it from there
        file.write("target: prometheus=2.53,alertmanager=0.27\n")
    assert compile_bundle(bundle).target == Target((2, 53), (0, 27))
    assert main(["routes", "explain", "severity=critical", "--root", str(bundle)]) == 0


def test_kubernetes_objects_say_the_same(bundle: Path, golden: Callable[[str, str], None]) -> None:
    """Groups are those of the rule files; the routes are the golden ones."""
    windows = bundle / "rules/windows.yaml"
    with pytest.raises(
        ConfigError, match="window 'weekend': time intervals of the Prometheus Operator have no time zone"
    ):
        generate(bundle, form="kubernetes")
    windows.write_text(windows.read_text().replace("Europe/Berlin", "UTC"))
    files, objects = generate(bundle), generate(bundle, form="kubernetes")
    rules = {path: text for path, text in files.items() if path.startswith("deploy/prometheus/rules/")}

    plain = [yaml.safe_load(text)["groups"] for text in rules.values()]
    operator = [one for text in objects.values() if (one := yaml.safe_load(text))["kind"] == "PrometheusRule"]
    assert [one["spec"]["groups"] for one in operator] == plain
    assert all(re.fullmatch(r"[a-z0-9-]+", one["metadata"]["name"]) for one in operator)
    rules_json = yaml.safe_load(objects["deploy/kubernetes/responder-rules.yml"])["data"]["rules.json"]
    assert rules_json == files["deploy/responder/rules.json"]
    golden("kubernetes-alertmanager-config.yml", objects["deploy/kubernetes/alertmanager-config.yml"])


@pytest.mark.parametrize(
    ("versions", "section", "option"),
    [("alertmanager=0.27", "msteamsConfigs", "webhookUrl"), ("alertmanager=0.28", "msteamsv2Configs", "webhookURL")],
)
def test_kubernetes_objects_are_for_the_target(versions: str, section: str, option: str, bundle: Path) -> None:
    """Teams is notified in the way that the Alertmanager supports, in the operator's spelling."""
    add_what_is_newer(bundle)
    windows = bundle / "rules/windows.yaml"
    windows.write_text(windows.read_text().replace("Europe/Berlin", "UTC"))
    made = generate(bundle, form="kubernetes", target=Target.parse(versions))

    receivers = yaml.safe_load(made["deploy/kubernetes/alertmanager-config.yml"])["spec"]["receivers"]
    teams = [one[section][0] for one in receivers if section in one]
    assert [one[option] for one in teams] == [{"name": "jelmon-alertmanager", "key": "teams"}]


@pytest.mark.parametrize("own", [True, False], ids=["our bundle", "the small bundle"])
def test_promtool_and_amtool_accept_what_is_rendered(own: bool, root: Path, bundle: Path, tool: Tool) -> None:
    """Every rule file, with every lint of promtool; the configuration of Alertmanager."""
    folder = root if own else bundle
    if not own:
        for path, text in generate(bundle).items():
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_text(text)

    rules = sorted((folder / "deploy/prometheus/rules").glob("*.yml"))
    assert rules
    checked(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *rules)
    checked(tool("amtool"), "check-config", folder / "alertmanager/alertmanager.yml")


CREDENTIALS = """
    url: https://responder.example:9748/api/v1/alerts/webhook
    username: alertmanager
    password_file: /etc/alertmanager/responder.password
    ca_file: /etc/alertmanager/jelmon-ca.pem
    cert_file: /etc/alertmanager/client.crt
    key_file: /etc/alertmanager/client.key
"""


def test_a_webhook_can_log_in(bundle: Path, tool: Tool, tmp_path: Path) -> None:
    """User, password file, authority and client certificate reach Alertmanager's configuration, and the operator's."""
    channels = bundle / "rules/channels.yaml"
    plain = '{type: webhook, url: "http://127.0.0.1:9748/api/v1/alerts/webhook"}'
    channels.write_text(channels.read_text().replace(plain, f"\n    type: webhook{CREDENTIALS}"))
    windows = bundle / "rules/windows.yaml"
    windows.write_text(windows.read_text().replace("Europe/Berlin", "UTC"))
    text = generate(bundle)[CONFIGURATION]

    receivers = {one["name"]: one for one in yaml.safe_load(text)["receivers"]}
    assert receivers["responder"]["webhook_configs"][0]["http_config"] == {
        "basic_auth": {"username": "alertmanager", "password_file": "/etc/alertmanager/responder.password"},
        "tls_config": {
            "ca_file": "/etc/alertmanager/jelmon-ca.pem",
            "cert_file": "/etc/alertmanager/client.crt",
            "key_file": "/etc/alertmanager/client.key",
        },
    }
    for name in ("jelmon-ca.pem", "client.crt", "client.key", "responder.password"):
        text = text.replace(f"/etc/alertmanager/{name}", str(tmp_path / name))
    (tmp_path / "alertmanager.yml").write_text(text.replace('"templates/', f'"{tmp_path}/templates/'))
    command = [str(tool("amtool")), "check-config", str(tmp_path / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    spec = yaml.safe_load(generate(bundle, form="kubernetes")["deploy/kubernetes/alertmanager-config.yml"])["spec"]
    secret = {"name": "jelmon-alertmanager"}
    webhooks = {one["name"]: one for one in spec["receivers"]}["responder"]["webhookConfigs"]
    assert webhooks[0]["httpConfig"] == {
        "basicAuth": {
            "username": {**secret, "key": "responder.password-username"},
            "password": {**secret, "key": "responder.password"},
        },
        "tlsConfig": {
            "ca": {"secret": {**secret, "key": "jelmon-ca.pem"}},
            "cert": {"secret": {**secret, "key": "client.crt"}},
            "keySecret": {**secret, "key": "client.key"},
        },
    }

"""What Grafana is given beside the dashboards."""

from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]


@pytest.fixture
def provisioned(root: Path) -> dict[str, Json]:
    """The provisioning files by folder."""
    return {
        path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (root / "grafana/provisioning").glob("*/*.yaml")
    }


def test_the_interval_of_rates_is_that_of_the_scrapes(provisioned: dict[str, Json], root: Path) -> None:
    """Otherwise Grafana's ``$__rate_interval`` holds too few samples and every rate has gaps."""
    config = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (source,) = provisioned["datasources"]["datasources"]

    assert config["global"]["scrape_interval"] == source["jsonData"]["timeInterval"]
    assert source["type"] == "prometheus"
    assert source["uid"] == "jelmore-prometheus"


def test_dashboards_cannot_be_changed_behind_the_generator(provisioned: dict[str, Json]) -> None:
    """A change in the browser would be lost at the next start."""
    (provider,) = provisioned["dashboards"]["providers"]

    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["folderUid"] == "jelmore"

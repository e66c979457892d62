"""Real registries to mirror from: distribution."""

from pathlib import Path
from typing import Self

import yaml

from tests.support.daemon import Daemon
from tests.support.images import Image
from tests.support.layout import write_layout
from tests.support.tools import crane, find, skopeo


class Distribution(Daemon):
    """
    >>> with Distribution(tmp_path) as registry:
    ...     registry.push("team/app", "v1", image)
    ...     skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/team/app:v1")
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"OTEL_TRACES_EXPORTER": "none"})
        self._folder = folder

    def __enter__(self) -> Self:
        config = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}, "level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        file = self._folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        return self.start([find("registry", "docker-registry"), "serve", str(file)])

    def push(self, repository: str, tag: str, image: Image) -> None:
        """Pushes an image, all its platforms, bytes unchanged, by crane (skopeo reads layouts of OCI types alone)."""
        layout = write_layout(self._folder / "layouts" / image.digest.replace(":", "-"), {"pushed": image})
        crane("push", str(layout), f"{self.host}/{repository}:{tag}")

    def push_layout(self, repository: str, tag: str, layout: Path, layout_tag: str) -> None:
        """Pushes an image of OCI types from a layout, by skopeo."""
        target = f"docker://{self.host}/{repository}:{tag}"
        source = f"oci:{layout}:{layout_tag}"
        skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", source, target)

"""What the commands that read and change content share: names as people write them, and the opened storage root."""

from __future__ import annotations

import os
import pwd
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyregistry.cli.survey import check_root
from pyregistry.config import ConfigError
from pyregistry.mirror.namespaces import Namespaces, UnknownRegistry
from pyregistry.oci.platforms import InvalidPlatform, parse_platform
from pyregistry.oci.references import ImageName, InvalidReference, parse_image
from pyregistry.store.content import open_store
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from pyregistry.config import Config
    from pyregistry.oci.descriptors import Platform
    from pyregistry.store.content import Store
    from pyregistry.store.target import Target


@dataclass(frozen=True, slots=True)
class Named:
    """What a name on the command line means, resolved as a request's is."""

    text: str
    target: Target
    image: ImageName

    def hosted(self) -> Target:
        """The hosted repository. Raises ConfigError for a mirrored one."""
        if not self.target.hosted:
            raise ConfigError(
                f"{self.text}: {self.target.repository} is mirrored, and its content is its upstream's to change; "
                "name it under `hosted` in the configuration to have it here"
            )
        return self.target


def resolve(config: Config, text: str) -> Named:
    """Raises ConfigError for what is no name, or leads nowhere."""
    try:
        image = parse_image(text)
        return Named(text, Namespaces(config).resolve(image.name, None), image)
    except (InvalidReference, UnknownRegistry) as error:
        raise ConfigError(str(error)) from None


def platforms_of(texts: Iterable[str] | None) -> tuple[Platform, ...]:
    """Values of `--platform`. Raises ConfigError."""
    try:
        return tuple(parse_platform(text) for text in texts or ())
    except InvalidPlatform as error:
        raise ConfigError(f"--platform: {error}") from None


def check_owner(root: Path) -> None:
    """Raises ConfigError if the superuser is about to leave files that the root's owner, the server, cannot write."""
    owner = root.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise ConfigError(
            f"storage.root: {root} belongs to {name}; run this as that user (sudo -u {name} pyregistry …)"
        )


@asynccontextmanager
async def opened(config: Config, *, new: bool = False) -> AsyncIterator[tuple[Store, Metadata]]:
    """Content and facts of the storage root, also beside a running server. Raises ConfigError, Failure.

    `new`: a folder that is empty or not there becomes a storage root.
    """
    root = config.storage.root
    if not (new and _is_empty(root)):
        check_root(root)
        check_owner(root)
    store = open_store(config)
    try:
        metadata = Metadata.open(root)
        try:
            yield store, metadata
        finally:
            metadata.close()
    finally:
        await store.close()


def _is_empty(root: Path) -> bool:
    try:
        return not any(root.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        raise ConfigError(f"storage.root: cannot read {root}: {error.strerror}") from None

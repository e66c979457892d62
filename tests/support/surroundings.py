"""The environment that processes under test get."""

import os

_LOUD = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "docker_config", "registry_auth_file", "notify_socket")


def quiet_environment() -> dict[str, str]:
    """This process's environment without proxies, registry credentials and settings of pyregistry."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in _LOUD and not name.lower().startswith("pyregistry_")
    }

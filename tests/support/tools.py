"""Programs that tests run: real clients and registries."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.surroundings import quiet_environment

_SOURCES = {
    "skopeo": "apt-get install skopeo",
    "debootstrap": "apt-get install debootstrap",
    "crane": "go install github.com/google/go-containerregistry/cmd/crane@v0.22.1",
    "registry": "go install github.com/distribution/distribution/v3/cmd/registry@v3.1.1",
    "docker-registry": "apt-get install docker-registry",
    "containerd": "apt-get install containerd",
    "ctr": "apt-get install containerd",
    "conformance": "go install github.com/opencontainers/distribution-spec/conformance@"
    "v0.0.0-20260831232431-97274622c111",
    "oras": "go install oras.land/oras/cmd/oras@v1.3.6",
    "regctl": "go install github.com/regclient/regclient/cmd/regctl@v0.11.7",
    "helm": "go install helm.sh/helm/v4/cmd/helm@v4.3.1",
    "cosign": "go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3",
    "estargz": "make tools",
    "podman": "apt-get install podman",
    "wrk": "apt-get install wrk",
}


def find(*names: str) -> str:
    """The path of the first of these programs that is there.

    None: the test is skipped with a word on how to get it; in CI, which installs them all, it fails.
    """
    for name in names:
        places = [str(Path.home() / "go/bin"), "/usr/sbin", "/sbin"]
        found = shutil.which(name) or shutil.which(name, path=":".join(places))
        if found:
            return found
    ways = " or ".join(f"`{_SOURCES.get(name, name)}`" for name in names)
    message = f"{' or '.join(names)} is not here; get it with {ways}"
    if os.environ.get("CI") != "true":
        pytest.skip(message)
    raise FileNotFoundError(message)


def run(program: str, *arguments: str, timeout: float = 120, **environment: str) -> str:
    """What the program printed; CalledProcessError has a note with its messages."""
    done = subprocess.run(
        [find(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**quiet_environment(), **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        failure = subprocess.CalledProcessError(done.returncode, [program, *arguments], done.stdout, done.stderr)
        failure.add_note(done.stderr[-4000:])
        raise failure
    return done.stdout


def skopeo(command: str, *arguments: str, timeout: float = 120, **environment: str) -> str:
    """skopeo without a signature policy: `skopeo("copy", "--src-tls-verify=false", source, f"dir:{folder}")`."""
    return run("skopeo", "--insecure-policy", command, *arguments, timeout=timeout, **environment)


def crane(command: str, *arguments: str, timeout: float = 120, **environment: str) -> str:
    return run("crane", "--insecure", command, *arguments, timeout=timeout, **environment)

import gzip
import hashlib
import io
import json
import tarfile

from tests.support.images import (
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_INDEX,
    Flavor,
    artifact,
    image,
    index,
    multi_platform,
    tar_image,
)


def test_a_manifest_describes_its_blobs() -> None:
    made = image((10, 20), seed=1, flavor=Flavor.DOCKER)
    body = json.loads(made.manifest)
    assert made.media_type == body["mediaType"] == DOCKER_MANIFEST
    assert [(d["digest"], d["size"], d["mediaType"]) for d in body["layers"]] == [
        (layer.digest, layer.size, DOCKER_LAYER) for layer in made.layers
    ]
    assert made.config is not None
    assert body["config"]["digest"] == made.config.digest
    assert made.digest == f"sha256:{hashlib.sha256(made.manifest).hexdigest()}"
    assert made.digest == image((10, 20), seed=1, flavor=Flavor.DOCKER).digest != image((10, 20), seed=2).digest


def test_an_index_walks_children_first() -> None:
    inner = multi_platform((10,), seed=3)
    outer = index([inner, index([])])
    assert [part.digest for part in outer.walk()][-1] == outer.digest
    assert len(list(outer.walk())) == 6
    assert json.loads(outer.manifest)["manifests"][0]["mediaType"] == OCI_INDEX
    assert json.loads(inner.manifest)["manifests"][1]["platform"] == {"architecture": "arm64", "os": "linux"}


def test_an_artifact_names_its_subject() -> None:
    subject = image((10,))
    made = artifact(b"signature", "application/example", subject=subject)
    assert made.subject == subject.digest
    assert json.loads(made.manifest)["subject"]["size"] == len(subject.manifest)
    assert made.descriptor()["artifactType"] == "application/example"


def test_tar_layers_unpack_and_match_their_diff_ids() -> None:
    made = tar_image({"etc/a": b"1"}, {"b": b"2"})
    assert made.config is not None
    diff_ids = json.loads(bytes(made.config.data))["rootfs"]["diff_ids"]
    raw = [gzip.decompress(bytes(layer.data)) for layer in made.layers]
    assert diff_ids == [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in raw]
    with tarfile.open(fileobj=io.BytesIO(raw[0])) as archive:
        assert archive.getnames() == ["etc/a"]

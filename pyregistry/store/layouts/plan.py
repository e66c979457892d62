"""What an import brings: manifests read from a layout and checked, children before parents, with their tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyregistry.oci.digests import Digest, algorithm
from pyregistry.oci.layout import InvalidLayout
from pyregistry.oci.manifests import MAX_MANIFEST_SIZE, ManifestError, parse_manifest
from pyregistry.oci.media_types import is_index_type, is_manifest_type
from pyregistry.oci.platforms import is_wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pyregistry.oci.descriptors import Descriptor, Platform
    from pyregistry.oci.layout import Entry
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.layouts.reading import Layout


@dataclass(slots=True)
class ImportPlan:
    """What one repository gets."""

    #: Manifests that `index.json` names.
    roots: list[Digest] = field(default_factory=list)
    #: Each once, children before parents.
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    #: What they are made of.
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    #: Tags by the digest they are to name.
    tags: dict[Digest, list[str]] = field(default_factory=dict)
    #: Children of indexes that do not come along: not in the layout, or of no wanted platform.
    left_out: dict[Digest, Descriptor] = field(default_factory=dict)


def plan_import(
    layout: Layout, entries: Sequence[Entry], *, tag: str | None = None, platforms: Collection[Platform] = ()
) -> ImportPlan:
    """What these entries come to. Blocking.

    `tag`: the one image to bring, with its referrers: the entry of that tag, else the only one there is, whatever its
    tag. Raises InvalidLayout.
    """
    roots = {entry.descriptor.digest: _manifest(layout, entry.descriptor) for entry in entries}
    plan = ImportPlan()
    if tag is None:
        for entry in entries:
            digest = entry.descriptor.digest
            if entry.tag is not None and entry.tag not in plan.tags.setdefault(digest, []):
                plan.tags[digest].append(entry.tag)
        _refuse_tags_twice(plan)
        chosen: Iterable[Digest] = roots
    else:
        digest = _image_of_tag(layout, entries, roots, tag)
        plan.tags[digest] = [tag]
        chosen = [digest]
    plan.roots += chosen
    for digest in plan.roots:
        _gather(layout, roots[digest], plan, platforms)
    if tag is not None:
        _gather_referrers(layout, roots, plan, platforms)
    # One index may list what another one brings.
    plan.left_out = {digest: child for digest, child in plan.left_out.items() if digest not in plan.manifests}
    return plan


def _image_of_tag(layout: Layout, entries: Sequence[Entry], roots: dict[Digest, Manifest], tag: str) -> Digest:
    named = {entry.descriptor.digest for entry in entries if entry.tag == tag}
    if not named:
        referrers = {digest for digest, manifest in roots.items() if manifest.subject is not None}
        named = roots.keys() - referrers or set(roots)
    if len(named) == 1:
        return next(iter(named))
    known = ", ".join(sorted({entry.tag for entry in entries if entry.tag is not None})) or "none"
    raise InvalidLayout(f"{layout.path} has {len(named)} images and does not say which is {tag} (its tags: {known})")


def _refuse_tags_twice(plan: ImportPlan) -> None:
    seen: dict[str, Digest] = {}
    for digest, tags in plan.tags.items():
        for tag in tags:
            if seen.setdefault(tag, digest) != digest:
                raise InvalidLayout(f"index.json gives tag {tag} to both {seen[tag]} and {digest}")


def _gather(layout: Layout, root: Manifest, plan: ImportPlan, platforms: Collection[Platform]) -> None:
    """Adds a manifest and all below it. A stack, not recursion: how deep indexes nest is the layout's to say."""
    if root.digest in plan.manifests:
        return
    stack = [(root, _children(layout, root, plan, platforms))]
    # By content: a manifest cannot be its own descendant.
    while stack:
        manifest, children = stack[-1]
        child = next(children, None)
        if child is not None:
            stack.append((child, _children(layout, child, plan, platforms)))
            continue
        stack.pop()
        plan.manifests[manifest.digest] = manifest
        for blob in manifest.blobs:
            _add_blob(layout, blob, plan)
    taken = plan.manifests.keys() | plan.blobs.keys()
    if platforms and root.children and not any(child.digest in taken for child in root.children):
        listed = ", ".join(sorted({str(child.platform) for child in root.children if child.platform}))
        raise InvalidLayout(f"{layout.where(root.digest)} has nothing for the platforms asked for; it has {listed}")


def _children(
    layout: Layout, manifest: Manifest, plan: ImportPlan, platforms: Collection[Platform]
) -> Iterator[Manifest]:
    """The children that come along and are not gathered yet."""
    for child in manifest.children:
        if child.digest in plan.manifests or child.digest in plan.blobs:
            continue
        if not is_wanted(child, platforms) or layout.size(child.digest) is None:
            plan.left_out[child.digest] = child
            continue
        found = _child(layout, child)
        if found is None:
            _add_blob(layout, child, plan)
        else:
            yield found


def _gather_referrers(
    layout: Layout, roots: dict[Digest, Manifest], plan: ImportPlan, platforms: Collection[Platform]
) -> None:
    """Adds what refers to what is gathered, and what refers to that."""
    left = dict(roots)
    found = True
    while found:
        found = False
        for digest, manifest in list(left.items()):
            if manifest.subject is not None and manifest.subject.digest in plan.manifests:
                _gather(layout, manifest, plan, platforms)
                del left[digest]
                found = True


def _child(layout: Layout, descriptor: Descriptor) -> Manifest | None:
    """The manifest that a child of an index is; None for a blob: BuildKit's cache is an index of layers."""
    if is_manifest_type(descriptor.media_type) or is_index_type(descriptor.media_type):
        return _manifest(layout, descriptor)
    if descriptor.size > MAX_MANIFEST_SIZE:
        return None
    content = _content(layout, descriptor)
    try:
        # Of a type nobody knows: what says of itself, or by its shape, that it is a manifest.
        manifest = parse_manifest(content, None, algorithm(descriptor.digest))
    except ManifestError:
        return None
    return _checked(layout, descriptor, manifest)


def _manifest(layout: Layout, descriptor: Descriptor) -> Manifest:
    if layout.size(descriptor.digest) is None:
        raise InvalidLayout(f"{layout.path} does not have manifest {descriptor.digest}")
    content = _content(layout, descriptor)
    try:
        manifest = parse_manifest(content, descriptor.media_type, algorithm(descriptor.digest))
    except ManifestError as error:
        raise InvalidLayout(f"{layout.where(descriptor.digest)}: {error}") from None
    return _checked(layout, descriptor, manifest)


def _checked(layout: Layout, descriptor: Descriptor, manifest: Manifest) -> Manifest:
    if manifest.digest != descriptor.digest:
        raise InvalidLayout(f"{layout.where(descriptor.digest)} hashes to {manifest.digest}: it is damaged")
    return manifest


def _content(layout: Layout, descriptor: Descriptor) -> bytes:
    with layout.open(descriptor.digest) as part:
        if part.size > MAX_MANIFEST_SIZE:
            raise InvalidLayout(
                f"{layout.where(descriptor.digest)} has {part.size} bytes; a manifest has at most {MAX_MANIFEST_SIZE}"
            )
        if part.size != descriptor.size:
            raise _wrong_size(layout, descriptor, part.size)
        return part.whole()


def _add_blob(layout: Layout, blob: Descriptor, plan: ImportPlan) -> None:
    known = plan.blobs.setdefault(blob.digest, blob)
    size = layout.size(blob.digest)
    if size is None:
        size = known.size
    if size != blob.size:
        raise _wrong_size(layout, blob, size)
    if known.is_external and not blob.is_external:
        plan.blobs[blob.digest] = blob


def _wrong_size(layout: Layout, descriptor: Descriptor, size: int) -> InvalidLayout:
    return InvalidLayout(f"{layout.where(descriptor.digest)} has {size} bytes, but is said to have {descriptor.size}")

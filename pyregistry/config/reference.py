"""The reference of the configuration, written from the model; `make docs` keeps it in `docs/reference`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from pyregistry.config import values
from pyregistry.config.loading import FLAGS
from pyregistry.config.settings import settings, shape_at
from pyregistry.mirror.well_known import WELL_KNOWN

if TYPE_CHECKING:
    from pyregistry.config.settings import Setting

_INTRODUCTION = """\
<!-- Written by `make docs` from pyregistry/config; do not edit. -->
# Configuration

`pyregistry serve` needs no configuration: it mirrors the well-known public registries on 127.0.0.1:5000 and keeps its
data in `./data`. Everything below can be set in one YAML file (`--config FILE`, or `PYREGISTRY_CONFIG`), by an
environment variable, and some of it by a flag. A flag wins over a variable, and a variable over the file.

```yaml
http:    {listen: "0.0.0.0:5000"}
storage: {root: /var/lib/pyregistry}
mirror:
  upstreams:
    docker.io: {username: me, password_file: /run/secrets/hub}   # well-known: its address is known
    ghcr.io:
    registry.example.com: {url: "https://registry.example.com"}
```

- `pyregistry config check` says what is wrong with a configuration, `show` prints the one in effect without its
  secrets, `schema` its JSON schema.
- A key that does not exist is an error, and so is one that is given twice.
- A **duration** is written `250ms`, `30s`, `5m`, `1h30m` or `30d`; a number is seconds. A **size** is written `64MiB`,
  `2GiB` or `500MB`; a number is bytes. Paths are relative to the folder that `pyregistry` is started in.
- The **variable** of `http.listen` is `PYREGISTRY_HTTP__LISTEN`: upper case, two underscores for a dot. An empty
  variable counts as unset. Lists and whole sections are given as YAML or JSON
  (`PYREGISTRY_MIRROR__UPSTREAMS='{ghcr.io: {url: "https://ghcr.io"}}'`), lists of text also with commas.
- An upstream's name has dots, which a variable's cannot have: there it is written with `_` for everything that is no
  letter or digit, as in `PYREGISTRY_MIRROR__UPSTREAMS__DOCKER_IO__PASSWORD`. That is the configured upstream which
  reads so, or, if there is none, the name with dots for underscores. Such a variable adds to the upstreams in effect
  and takes none away.
- `--upstream NAME=URL` (repeatable) mirrors only these, the first being the default; other settings of the same name
  hold.

The well-known registries are mirrored where `mirror.upstreams` is not set. An entry of `mirror.upstreams` with one of
their names needs no `url`. `mirror: {upstreams: {}}` mirrors nothing. They are
"""


def main() -> None:
    """Prints the page."""
    sys.stdout.write(page())


def page() -> str:
    """The whole page."""
    parts = [f"{_INTRODUCTION}{', '.join(WELL_KNOWN)}.\n"]
    section = None
    for setting in settings():
        name, _, key = setting.key.rpartition(".")
        if name != section:
            section = name
            parts.append(f"\n## {f'`{name}`' if name else 'Top level'}\n\n")
            if about := _about(name):
                parts.append(f"{about}\n\n")
            parts.append("| Setting | Value | Default | Meaning |\n|---|---|---|---|\n")
        parts.append(_row(setting, key))
    return "".join(parts)


def _about(name: str) -> str:
    path: tuple[str | int, ...] = ()
    for part in filter(None, name.split(".")):
        path = (*path, part.removesuffix("[]"), 0) if part.endswith("[]") else (*path, part)
    shape = shape_at(path)
    return " ".join(((shape and shape.of and shape.of.__doc__) or "").split())


def _row(setting: Setting, key: str) -> str:
    meaning = setting.description
    if setting.key in FLAGS:
        meaning += f" Flag `{FLAGS[setting.key]}`."
    cells = (f"`{key}`", _kind(setting.hint), _default(setting), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


_KINDS: tuple[tuple[Any, str], ...] = (
    (values.Timeout, "duration"),
    (values.Duration, "duration"),
    (values.Size, "size"),
    (values.Bandwidth, "size"),
    (values.Address, "`HOST:PORT`"),
    (values.OptionalAddress, "`HOST:PORT` or `off`"),
    (values.Url, "URL"),
    (values.RegistryName, "registry name"),
    (values.Workers, "`auto` or 1 to 256"),
    (SecretStr, "text, secret"),
    (Path, "path"),
    (str, "text"),
    (bool, "`true` or `false`"),
    (int, "number"),
    (float, "number"),
)


def _kind(hint: Any) -> str:
    for known, text in _KINDS:
        if hint is known:
            return text
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not NoneType)
    if origin is tuple:
        return f"list ({_kind(arguments[0])})"
    raise TypeError(f"say in _KINDS how {hint} is written")


def _default(setting: Setting) -> str:
    default = setting.default
    if setting.required:
        return "required"
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, timedelta):
        return f"`{values.format_duration(default)}`"
    if setting.hint is values.Size:
        return f"`{values.format_size(default)}`"
    return f"`{default}`"


if __name__ == "__main__":
    main()

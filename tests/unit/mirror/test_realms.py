"""I11: which token realms may be asked, and which may see credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyregistry.mirror.realms import Realms, Trust


@pytest.mark.parametrize(
    ("base", "listed", "realm", "trust"),
    [
        ("https://ghcr.io", [], "https://ghcr.io/token", Trust.CREDENTIALS),
        ("https://ghcr.io", [], "https://GHCR.IO/token", Trust.CREDENTIALS),
        ("https://r.example:5000", [], "https://r.example:5001/auth", Trust.CREDENTIALS),
        ("http://r.example", [], "https://r.example/auth", Trust.CREDENTIALS),
        ("https://registry-1.docker.io", ["auth.docker.io"], "https://auth.docker.io/token", Trust.CREDENTIALS),
        ("https://r.example", ["https://auth.example/token"], "https://auth.example/x", Trust.CREDENTIALS),
        ("https://r.example", ["auth.example:444"], "https://auth.example:444/x", Trust.CREDENTIALS),
        # CVE-2026-33540: a realm of upstream's choice
        ("https://registry-1.docker.io", ["auth.docker.io"], "https://evil.example/token", Trust.ANONYMOUS),
        ("https://r.example", [], "https://r.example.evil.example/token", Trust.ANONYMOUS),
        ("https://r.example", [], "https://xr.example/token", Trust.ANONYMOUS),
        ("https://r.example", ["auth.example:444"], "https://auth.example/x", Trust.ANONYMOUS),
        ("https://docker.io", [], "https://auth.docker.io/token", Trust.ANONYMOUS),
        # TLS undone
        ("https://r.example", [], "http://r.example/token", Trust.REFUSED),
        ("https://r.example", ["auth.example"], "http://auth.example/token", Trust.REFUSED),
        # into our own network
        ("https://r.example", [], "https://127.0.0.1/token", Trust.REFUSED),
        ("https://r.example", [], "https://169.254.169.254/latest", Trust.REFUSED),
        ("https://r.example", [], "https://[::1]/token", Trust.REFUSED),
        ("https://r.example", [], "https://localhost:8080/token", Trust.REFUSED),
        *(
            ("https://r.example", [], f"https://{host}/token", Trust.REFUSED)
            for host in (
                "127.1",
                "2130706433",
                "0x7f000001",
                "x.0x7f",
                "0177.0.0.1",
                "127.0.0.1.",
                "localhost.",
                "%6cocalhost",
                "%31%32%37.0.0.1",
                "①②⑦.0.0.1",
                "ｌocalhost",
                "[::ffff:127.0.0.1]",
                "[64:ff9b::7f00:1]",
                "[2002:7f00:1::]",
                "[fe80::1%25eth0]",
            )
        ),
        ("https://r.example", [], "https://1.1.1.1/token", Trust.ANONYMOUS),
        ("https://r.example", [], "https://[2606:4700:4700::1111]/token", Trust.ANONYMOUS),
        ("https://r.example", [], "https://4x4.auth-1.example/token", Trust.ANONYMOUS),
        ("https://r.example", ["10.0.0.1"], "https://10.0.0.1/token", Trust.CREDENTIALS),
        ("http://127.0.0.1:5000", [], "http://localhost:5001/token", Trust.ANONYMOUS),
        # no realm at all
        ("https://r.example", [], "", Trust.REFUSED),
        ("https://r.example", [], "/token", Trust.REFUSED),
        ("https://r.example", [], "file:///etc/passwd", Trust.REFUSED),
        ("https://r.example", [], "https://r.example:99999/x", Trust.REFUSED),
        ("https://r.example", [], "https://user@r.example/x", Trust.REFUSED),
        ("https://r.example", [], "https://r.example\\@evil.example/x", Trust.REFUSED),
    ],
)
def test_trust(base: str, listed: list[str], realm: str, trust: Trust) -> None:
    assert Realms(base, listed).trust(realm) is trust


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_nothing_raises(realm: str, listed: list[str]) -> None:
    realms = Realms("https://r.example", listed)
    realms.trust(realm)
    realms.trust("https://" + realm)


@given(st.text(st.sampled_from("abcr.example-:@/\\?#%0"), max_size=30))
def test_credentials_stay_where_they_belong(rest: str) -> None:
    """However the realm is written, credentials go only where the native client, too, sees the upstream's host."""
    realm = f"https://{rest}"
    if Realms("https://r.example", []).trust(realm) is Trust.CREDENTIALS:
        authority = rest.replace("\\", "/").partition("/")[0].partition("?")[0].partition("#")[0]
        assert authority.partition(":")[0] == "r.example"
        assert "@" not in authority

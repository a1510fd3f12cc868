"""The small parts of signing in: passwords, the state of a login, cookies."""

from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from tenfold.access.login_state import HOME, LoginState, expiry, pack, safe_return, unpack
from tenfold.http.auth import cookie
from tenfold.http.cookies import no_session, session_cookie
from tenfold.kit.errors import ConfigurationError
from tenfold.tenancy.access.passwords import Password


def state() -> LoginState:
    """One that is young now: made at import it would be old by the end of a long run."""
    return LoginState("state", "nonce", "verifier", "/here", expiry())


async def test_a_password_may_be_given_as_its_hash() -> None:
    for given in ("correct horse", PasswordHasher().hash("correct horse")):
        password = Password(given)
        assert await password.matches("correct horse")
        for wrong in ("", "correct horse ", "Correct horse", "x" * 100_000):
            assert not await password.matches(wrong)


def test_a_hash_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^PASSWORD: "):
        Password("$argon2id$nonsense")


def test_the_state_of_a_login_comes_back_as_it_was() -> None:
    young = state()
    assert unpack(b"secret", pack(b"secret", young)) == young


def test_a_state_that_was_changed_or_is_old_is_none() -> None:
    packed = pack(b"secret", state())
    old = pack(b"secret", replace(state(), expires=1))
    for text in (None, "", ".", packed[:-1], "x" + packed, packed.replace(".", "x"), pack(b"other", state()), old):
        assert unpack(b"secret", text) is None


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/dashboard", "/dashboard"), ("/a?b=c#d", "/a?b=c#d"), (None, HOME), ("", HOME), ("https://x", HOME), ("//x", HOME),
        ("/\\x", HOME), ("/a\nb", HOME), ("dashboard", HOME), ("javascript:x", HOME),
    ],
)  # fmt: skip
def test_a_login_leads_to_this_site_only(path: str | None, leads: str) -> None:
    assert safe_return(path) == leads


def test_cookies_are_out_of_reach_of_scripts_and_other_sites() -> None:
    made = session_cookie("t", secure=True)
    assert made == "session=t; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax; Secure"
    assert no_session(secure=False) == "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("session=a", "a"),
        ("x=1; session=a; y=2", "a"),
        ("", None),
        ("session=", None),
        ("session=" + "x" * 20_000, None),
    ],
)
def test_a_cookie_is_read_or_there_is_none(header: str, value: str | None) -> None:
    assert cookie({"cookie": header}, "session") == value

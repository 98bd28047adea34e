"""Rules about signatures: the profile "wsgiproxy 1", and everything that it refuses.

The numbers are those of the verifier's rules in threats.md, 4.4.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.oracles import (
    ALGORITHMS,
    ED25519_PRIVATE,
    ED25519_PUBLIC,
    NAMES,
    SHARED_SECRET,
    Message,
    library_signs,
    library_verifies,
)
from tests.support.rounds import together
from wsgiproxy.errors import BadRequest, BadSignature, Forbidden
from wsgiproxy.sansio.fields import signature as signing
from wsgiproxy.sansio.fields.host import authority
from wsgiproxy.sansio.fields.signature import Proof, sign, verify
from wsgiproxy.sansio.fields.signature_members import Fields
from wsgiproxy.sansio.keys import Key, base64url, hmac_key, parse_keys

NOW = 1_795_225_108
NONCE = "0123456789abcDE_-"
VALUES = {"@method": "GET", "@authority": "a.example", "@query": "?x=1", "wsgiproxy": "eyJ2IjoxfQ"}
MORE = {
    "x-traversal-path": "/app",
    "x-traversal-query-string": "k=1",
    "content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
}
KEY = hmac_key("k1", SHARED_SECRET)
KEYS = {"k1": KEY, "k2": hmac_key("k2", b"x" * 32)}
LIST = '("@method" "@authority" "@query" "wsgiproxy")'
REST = f'keyid="k1";alg="hmac-sha256";nonce="{NONCE}";tag="wsgiproxy"'
PARAMETERS = f";created={NOW};{REST}"


def ed25519_key(der: bytes = ED25519_PRIVATE, keyid: str = "k1") -> Key:
    return parse_keys(f"{keyid}:ed25519:{base64url(der)}".encode("ascii")).first


def checked(
    fields: Fields,
    values: Mapping[str, str] = VALUES,
    keys: Mapping[str, Key] = KEYS,
    now: float = NOW,
) -> Proof:
    return verify(fields, values.get, keys, now=now)


def bytes_by_hand(member: str, values: Mapping[str, str] = VALUES) -> bytes:
    """The signature as RFC 9421 says it, with the standard library alone."""
    names = re.findall(r'"([^"]*)"', member.partition(")")[0])
    lines = [f'"{name}": {values.get(name, "")}' for name in names]
    base = "\n".join([*lines, f'"@signature-params": {member}'])
    return hmac.new(SHARED_SECRET, base.encode("utf-8"), hashlib.sha256).digest()


def by_hand(member: str, values: Mapping[str, str] = VALUES, label: str = "wsgiproxy") -> Fields:
    """Both fields with a right signature, whatever else is wrong with them."""
    encoded = base64.b64encode(bytes_by_hand(member, values)).decode("ascii")
    return Fields(f"{label}={member}", f"{label}=:{encoded}:")


GOOD = by_hand(LIST + PARAMETERS)
PROOF = Proof("k1", NOW, NONCE, NAMES)


# RFC 9421, appendix B.2: the request is that of B.2.

RFC_VALUES = {
    "date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "@method": "POST",
    "@path": "/foo",
    "@authority": authority("example.com", "https"),
    "content-type": "application/json",
    "content-length": "18",
}
B25 = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
B26 = (
    '("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)


def rfc_base(member: str) -> bytes:
    names = tuple(re.findall(r'"([^"]*)"', member.partition(")")[0]))
    return signing._base(names, RFC_VALUES.get, member)


def test_rfc_9421_base() -> None:
    assert rfc_base(B25).decode("ascii").splitlines() == [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@authority": example.com',
        '"content-type": application/json',
        '"@signature-params": ("date" "@authority" "content-type")'
        ';created=1618884473;keyid="test-shared-secret"',
    ]
    assert not rfc_base(B25).endswith(b"\n")


RFC_VECTORS = [
    pytest.param(
        hmac_key("test-shared-secret", SHARED_SECRET),
        B25,
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
        id="B.2.5-hmac-sha256",
    ),
    pytest.param(
        ed25519_key(keyid="test-key-ed25519"),
        B26,
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        id="B.2.6-ed25519",
    ),
]


@pytest.mark.parametrize(("key", "member", "signature"), RFC_VECTORS)
def test_rfc_9421_vector(key: Key, member: str, signature: str) -> None:
    base = rfc_base(member)
    assert key.sign is not None
    assert base64.b64encode(key.sign(base)).decode("ascii") == signature
    assert key.verify(base, base64.b64decode(signature))
    assert not key.verify(base + b" ", base64.b64decode(signature))


def test_rfc_9421_vector_of_the_public_half() -> None:
    """What the backend needs, if it must not be able to sign."""
    _, member, signature = RFC_VECTORS[1].values
    assert ed25519_key(ED25519_PUBLIC).verify(rfc_base(member), base64.b64decode(signature))


# What we write


def test_sign_writes_what_the_profile_says() -> None:
    """It is the same by hand, so that the two ends of different releases agree."""
    assert sign(VALUES, KEY, created=NOW, nonce=NONCE) == GOOD
    assert GOOD.signature_input == (
        'wsgiproxy=("@method" "@authority" "@query" "wsgiproxy");created=1795225108;keyid="k1"'
        ';alg="hmac-sha256";nonce="0123456789abcDE_-";tag="wsgiproxy"'
    )
    assert re.fullmatch("wsgiproxy=:[A-Za-z0-9+/]{43}=:", GOOD.signature)


def test_sign_covers_what_is_given() -> None:
    """In that order."""
    fields = sign({**MORE, **VALUES}, KEY, created=NOW, nonce=NONCE)
    assert checked(fields, {**VALUES, **MORE}).covered == (*MORE, *NAMES)


@together
@pytest.mark.parametrize("value", ["a\nb", "a\r\n b", "a\0", "\x7f", "a\tb", "\xe9", "\u2603"])
@pytest.mark.parametrize("name", NAMES)
def test_sign_covers_no_line_ends(name: str, value: str) -> None:
    """The client has sent it: its request is a bad one, and nobody has signed badly."""
    with pytest.raises(BadRequest, match=f"{name} holds a character"):
        sign({**VALUES, name: value}, KEY, created=NOW, nonce=NONCE)


text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(
    st.fixed_dictionaries(dict.fromkeys(NAMES, text), optional=dict.fromkeys(MORE, text)).map(dict),
    st.sampled_from([KEY, KEYS["k2"], ed25519_key(keyid="k3")]),
    st.integers(1, 10**12 - 1),
    st.text("azAZ09_-", min_size=16, max_size=64),
)
def test_what_is_signed_is_verified(values, key, created, nonce) -> None:
    """Whatever the values, key, time and nonce."""
    fields = sign(values, key, created=created, nonce=nonce)
    proof = checked(fields, values, {"k0": KEY, key.keyid: key}, now=created)
    assert proof == Proof(key.keyid, created, nonce, tuple(values))


@pytest.mark.parametrize(
    ("host", "scheme", "value"),
    [
        pytest.param("a.example", "http", "a.example", id="name"),
        pytest.param("A.Example", "http", "a.example", id="lower-case"),
        pytest.param("a:80", "http", "a", id="default-port"),
        pytest.param("a:443", "https", "a", id="default-port-of-https"),
        pytest.param("a:443", "http", "a:443", id="port-of-the-other-scheme"),
        pytest.param("a:8080", "http", "a:8080", id="port"),
        pytest.param("a:8080", "", "a:8080", id="no-scheme-known"),
        pytest.param("[2001:DB8::80]", "http", "[2001:db8::80]", id="ipv6-is-no-port"),
        pytest.param("[::1]:80", "http", "[::1]", id="ipv6-and-default-port"),
    ],
)
def test_authority(host: str, scheme: str, value: str) -> None:
    """RFC 9421, 2.2.3."""
    assert authority(host, scheme) == value


# What we refuse


def test_what_is_good() -> None:
    """All that follows differs from this in one thing."""
    assert checked(GOOD) == PROOF


@pytest.mark.parametrize(
    ("member", "values", "covered"),
    [
        pytest.param(
            '("wsgiproxy" "@query" "@authority" "@method")' + PARAMETERS,
            VALUES,
            NAMES[::-1],
            id="4-any-order",
        ),
        pytest.param(
            LIST[:-1] + ' "x-traversal-path")' + PARAMETERS,
            {**VALUES, **MORE},
            (*NAMES, "x-traversal-path"),
            id="4-more-of-ours",
        ),
        pytest.param(f"{LIST};{REST};created={NOW}", VALUES, NAMES, id="parameters-in-any-order"),
        pytest.param(f"{LIST}; created={NOW};  {REST}", VALUES, NAMES, id="spaces-as-written"),
        pytest.param(
            (LIST + PARAMETERS).replace(';alg="hmac-sha256"', ""), VALUES, NAMES, id="8-no-alg"
        ),
        pytest.param(f"{LIST}{PARAMETERS};expires={NOW}", VALUES, NAMES, id="7-expires-now"),
        pytest.param(
            (LIST + PARAMETERS).replace(NONCE, "n" * 64), VALUES, NAMES, id="11-longest-nonce"
        ),
    ],
)
def test_what_is_good_too(member, values, covered) -> None:
    assert checked(by_hand(member, values), values).covered == covered


def test_others_may_sign_too() -> None:
    """Web Bot Auth, ActivityPub: members of other labels and tags are not looked at."""
    theirs = Fields(
        'sig1=("@path";req);tag="web-bot-auth";created=1, other, x="wsgiproxy"', "sig1=:AA==:, y=1"
    )
    for pair in ((theirs, GOOD), (GOOD, theirs)):
        assert checked(Fields(*map(", ".join, zip(*pair, strict=True)))) == PROOF


def doubled(label: str) -> Fields:
    """Ours and a second member, both of which are signed rightly."""
    second = by_hand(LIST + PARAMETERS, label=label)
    return Fields(*map(", ".join, zip(GOOD, second, strict=True)))


# Everything here is signed rightly with a key that the verifier has, unless it says so.
REFUSED = [
    pytest.param(by_hand(LIST + PARAMETERS, label="sig1"), "labelled", id="1-another-label"),
    pytest.param(Fields(GOOD[0], "sig1=:AA==:"), "labelled", id="1-label-in-input-alone"),
    pytest.param(Fields("sig1=()", GOOD[1]), "labelled", id="1-label-in-signature-alone"),
    pytest.param(doubled("sig1"), "more than one", id="1-our-tag-with-another-label-too"),
    pytest.param(
        by_hand((LIST + PARAMETERS).replace(';tag="wsgiproxy"', "")), "tag", id="1-no-tag"
    ),
    pytest.param(
        by_hand((LIST + PARAMETERS).replace('tag="wsgiproxy"', 'tag="other"')),
        "tag",
        id="1-another-tag",
    ),
    pytest.param(
        by_hand((LIST + PARAMETERS).replace('tag="wsgiproxy"', "tag=wsgiproxy")),
        "tag",
        id="1-tag-that-is-no-string",
    ),
    pytest.param(doubled("wsgiproxy"), "twice", id="2-label-twice"),
    pytest.param(Fields(GOOD[0], f"{GOOD[1]}, {GOOD[1]}"), "twice", id="2-signature-twice"),
    pytest.param(Fields(f"a, a, {GOOD[0]}", GOOD[1]), "twice", id="2-another-label-twice"),
    pytest.param(
        by_hand(f"{LIST}{PARAMETERS};created={NOW}"), "parameter comes twice", id="2-parameter"
    ),
    pytest.param(Fields("", ""), "Signature-Input did not arrive", id="3-empty"),
    pytest.param(Fields(GOOD[0] + ",", GOOD[1]), "no member", id="3-comma-at-the-end"),
    pytest.param(Fields(GOOD[0], GOOD[1] + ";"), "comma", id="3-semicolon-at-the-end"),
    pytest.param(Fields("A=1, " + GOOD[0], GOOD[1]), "no member", id="3-upper-case-label"),
    pytest.param(Fields(GOOD[0] + "\xe9", GOOD[1]), "comma", id="3-latin-1"),
    pytest.param(
        Fields(GOOD[0] + f', b="{"x" * 2048}"', GOOD[1]), "2048", id="3-input-of-over-2-KiB"
    ),
    pytest.param(
        Fields(GOOD[0], GOOD[1] + f', b="{"x" * 2048}"'), "2048", id="3-signature-of-over-2-KiB"
    ),
    *(
        pytest.param(
            by_hand(
                LIST.replace(f'"{name}"', "")
                .replace("  ", " ")
                .replace("( ", "(")
                .replace(" )", ")")
                + PARAMETERS
            ),
            f"{name} is not covered",
            id=f"4-{name}-is-missing",
        )
        for name in NAMES
    ),
    pytest.param(by_hand("()" + PARAMETERS), "not covered", id="4-nothing-is-covered"),
    pytest.param(
        by_hand(LIST.replace(")", ' "@query")') + PARAMETERS), "twice", id="4-component-twice"
    ),
    pytest.param(
        by_hand(LIST.replace('"@query"', '"@query";sf') + PARAMETERS),
        "not covered",
        id="4-component-with-a-parameter",
    ),
    pytest.param(
        by_hand(LIST.replace('"wsgiproxy"', '"wsgiproxy";bs') + PARAMETERS),
        "not covered",
        id="4-field-with-a-parameter",
    ),
    pytest.param(
        by_hand(LIST.replace(")", ' "cookie")') + PARAMETERS), "cookie", id="4-unknown-field"
    ),
    pytest.param(
        by_hand(LIST.replace('"@method"', "method") + PARAMETERS), "not covered", id="4-token"
    ),
    pytest.param(
        by_hand(LIST.replace('" "', '"  "') + PARAMETERS), "not covered", id="4-two-spaces"
    ),
    pytest.param(by_hand('"@method"' + PARAMETERS), "not covered", id="4-no-list"),
    pytest.param(by_hand("1" + PARAMETERS), "not covered", id="4-an-integer"),
    pytest.param(Fields("wsgiproxy", GOOD[1]), "not covered|tag", id="4-a-bare-label"),
    pytest.param(
        by_hand(LIST.replace(")", ' "@path")') + PARAMETERS), "@path", id="5-derived-component"
    ),
    pytest.param(
        by_hand(LIST.replace(")", ' "@wsgiproxy")') + PARAMETERS), "@wsgi", id="5-made-up-component"
    ),
    pytest.param(
        by_hand(LIST.replace(")", ' "@signature-params")') + PARAMETERS),
        "@signature-params",
        id="5-the-member-itself",
    ),
    *(
        pytest.param(
            by_hand((LIST + PARAMETERS).replace(f"created={NOW}", created)),
            "created|comma",
            id=name,
        )
        for name, created in [
            ("7-created-is-zero", "created=0"),
            ("7-created-is-negative", f"created=-{NOW}"),
            ("7-created-is-a-decimal", f"created={NOW}.0"),
            ("7-created-is-a-string", f'created="{NOW}"'),
            ("7-created-is-a-date", f"created=@{NOW}"),
            ("7-created-is-true", "created"),
            ("7-created-with-zeros-in-front", f"created=00{NOW}"),
            ("7-created-far-too-large", "created=999999999999999"),
            ("7-created-is-missing", "tag2=1"),
        ]
    ),
    *(
        pytest.param(by_hand(f"{LIST}{PARAMETERS};{expires}"), "expires", id=name)
        for name, expires in [
            ("7-expires-a-second-ago", f"expires={NOW - 1}"),
            ("7-expires-is-a-decimal", f"expires={NOW}.5"),
            ("7-expires-is-a-string", f'expires="{NOW}"'),
            ("7-expires-is-true", "expires"),
            ("7-expires-is-negative", "expires=-1"),
        ]
    ),
    *(
        pytest.param(by_hand((LIST + PARAMETERS).replace('keyid="k1"', keyid)), message, id=name)
        for name, keyid, message in [
            ("8-keyid-of-nobody", 'keyid="k9"', "no such key: 'k9'"),
            ("8-keyid-of-another-key", 'keyid="k2"', "wrong signature by key 'k2'"),
            ("8-keyid-is-missing", "x=1", "keyid"),
            ("8-keyid-is-empty", 'keyid=""', "keyid"),
            ("8-keyid-is-a-token", "keyid=k1", "keyid"),
            ("8-keyid-with-an-escape", r'keyid="k1\\"', "keyid"),
            ("8-keyid-is-too-long", f'keyid="{"k" * 65}"', "keyid"),
        ]
    ),
    *(
        pytest.param(by_hand((LIST + PARAMETERS).replace('alg="hmac-sha256"', alg)), "alg", id=name)
        for name, alg in [
            ("8-alg-of-another-kind", 'alg="ed25519"'),
            ("8-alg-of-nobody", 'alg="none"'),
            ("8-alg-is-empty", 'alg=""'),
            ("8-alg-is-a-token", "alg=hmac-sha256"),
            ("8-alg-in-upper-case", 'alg="HMAC-SHA256"'),
            ("8-alg-is-true", "alg"),
        ]
    ),
    *(
        pytest.param(Fields(GOOD[0], f"wsgiproxy=:{encoded}:"), message, id=name)
        for name, encoded, message in [
            ("9-no-bytes", "", "signature"),
            ("9-too-short", base64.b64encode(bytes(31)).decode(), "wrong"),
            ("9-too-long", base64.b64encode(bytes(33)).decode(), "wrong"),
            ("9-zeros", base64.b64encode(bytes(32)).decode(), "wrong"),
            ("10-no-padding", GOOD[1][11:-2], "base64"),
            ("10-padding-too-long", GOOD[1][11:-1] + "=", "base64|comma"),
            ("10-base64url", base64.urlsafe_b64encode(b"\xff" * 32).decode(), "comma"),
            ("10-a-space", " " + GOOD[1][11:-1], "comma"),
            ("10-other-bits-behind-the-end", base64.b64encode(bytes(32)).decode()[:-2] + "B=", "c"),
        ]
    ),
    pytest.param(Fields(GOOD[0], GOOD[1] + ";x"), "signature has parameters", id="10-parameters"),
    pytest.param(Fields(GOOD[0], 'wsgiproxy="AA=="'), "signature", id="10-a-string"),
    pytest.param(Fields(GOOD[0], "wsgiproxy=AA"), "signature", id="10-a-token"),
    pytest.param(Fields(GOOD[0], "wsgiproxy"), "signature", id="10-nothing"),
    pytest.param(Fields(GOOD[0], f"wsgiproxy=({GOOD[1][10:]})"), "signature", id="10-a-list"),
    *(
        pytest.param(
            by_hand((LIST + PARAMETERS).replace(f'nonce="{NONCE}"', nonce)), message, id=name
        )
        for name, nonce, message in [
            ("11-nonce-is-missing", "x=1", "nonce"),
            ("11-nonce-is-empty", 'nonce=""', "nonce"),
            ("11-nonce-of-15", f'nonce="{"n" * 15}"', "nonce"),
            ("11-nonce-of-65", f'nonce="{"n" * 65}"', "nonce"),
            ("11-nonce-with-a-colon", f'nonce="{"n:" * 16}"', "nonce"),
            ("11-nonce-is-a-token", f"nonce={'n' * 16}", "nonce"),
        ]
    ),
    pytest.param(by_hand(f"{LIST}{PARAMETERS};x=1"), "unknown parameter x", id="unknown-parameter"),
]


@together
@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_refused(fields: Fields, message: str) -> None:
    with pytest.raises(BadSignature, match=message):
        checked(fields)


@pytest.mark.parametrize("label", ["wsgiproxy", "sig1"])
def test_1_not_even_a_wrong_second_one(label: str) -> None:
    """Somebody who reads the other one must not be told something else."""
    second = f'{label}=("@method");tag="wsgiproxy"'
    with pytest.raises(BadSignature):
        checked(Fields(f"{second}, {GOOD[0]}", f"{label}=:AA==:, {GOOD[1]}"))


def test_4_and_5_nothing_else_is_ever_looked_up() -> None:
    """Least of all a field that is called as a derived component, which HTTP cannot have."""
    asked: list[str] = []

    def lookup(name: str) -> str:
        asked.append(name)
        return {**VALUES, **MORE}[name]

    for fields, _ in (param.values for param in REFUSED):
        with pytest.raises(BadSignature):
            verify(fields, lookup, KEYS, now=NOW)
    assert set(asked) == set(NAMES)


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_4_what_is_covered_is_there(name: str) -> None:
    values = {**VALUES, **MORE}
    fields = sign(values, KEY, created=NOW, nonce=NONCE)
    del values[name]
    with pytest.raises(BadSignature, match=f"{name} is covered, but not there"):
        checked(fields, values)


@together
@pytest.mark.parametrize("value", ["a\nb", "a\r\n b", "a\r", "a\0", "\x7f", "\t", "\xe9", "\u2603"])
@pytest.mark.parametrize("name", NAMES)
def test_6_covered_values_are_one_line(name: str, value: str) -> None:
    """RFC 9421, 7.5.5: a fold would be a line of the base, though it is rightly signed."""
    values = {**VALUES, name: value}
    with pytest.raises(BadSignature, match=f"{name} holds a character"):
        checked(by_hand(LIST + PARAMETERS, values), values)


@pytest.mark.parametrize(
    ("now", "good"),
    [
        pytest.param(NOW, True, id="at-once"),
        pytest.param(NOW + 60, True, id="as-old-as-allowed"),
        pytest.param(NOW + 60.001, False, id="a-millisecond-older"),
        pytest.param(NOW - 5, True, id="as-far-ahead-as-allowed"),
        pytest.param(NOW - 5.001, False, id="a-millisecond-further-ahead"),
        pytest.param(NOW + 10**9, False, id="years-old"),
        pytest.param(0, False, id="a-clock-that-was-never-set"),
        pytest.param(float("nan"), False, id="no-time-at-all"),
    ],
)
def test_7_created(now: float, good: bool) -> None:
    if good:
        assert checked(GOOD, now=now) == PROOF
    else:
        message = r"seconds (ago|in the future), allowed is up to 60 ago and 5 ahead.*clocks"
        with pytest.raises(BadSignature, match=message):
            checked(GOOD, now=now)


@pytest.mark.parametrize(
    ("age", "max_age", "skew", "good"),
    [
        pytest.param(10, 10, 0, True, id="max_age"),
        pytest.param(11, 10, 0, False, id="over-max_age"),
        pytest.param(-1, 10, 1, True, id="clock_skew"),
        pytest.param(-1, 10, 0, False, id="no-clock_skew"),
        pytest.param(-2, 10, 1, False, id="over-clock_skew"),
        pytest.param(3600, 3600, 5, True, id="an-hour"),
        pytest.param(0.5, 0.4, 0.4, False, id="less-than-a-second"),
    ],
)
def test_7_the_window_is_the_verifiers(age: float, max_age: float, skew: float, good: bool) -> None:
    def run() -> Proof:
        return verify(GOOD, VALUES.get, KEYS, now=NOW + age, max_age=max_age, clock_skew=skew)

    if good:
        assert run() == PROOF
    else:
        when = "ago" if age > 0 else "in the future"
        with pytest.raises(BadSignature, match=f"seconds {when}"):
            run()


@pytest.mark.parametrize(
    ("now", "good"),
    [
        pytest.param(NOW + 9, True, id="before"),
        pytest.param(NOW + 10, True, id="the-very-second"),
        pytest.param(NOW + 10.001, False, id="after-it"),
    ],
)
def test_7_expires_shortens_the_window(now: float, good: bool) -> None:
    fields = by_hand(f"{LIST}{PARAMETERS};expires={NOW + 10}")
    if good:
        assert checked(fields, now=now) == PROOF
    else:
        with pytest.raises(BadSignature, match="expires has passed"):
            checked(fields, now=now)


def test_7_expires_does_not_lengthen_the_window() -> None:
    with pytest.raises(BadSignature, match="61 seconds ago"):
        checked(by_hand(f"{LIST}{PARAMETERS};expires={NOW + 600}"), now=NOW + 61)


def test_7_a_late_clock_is_named() -> None:
    """The commonest failure of all: the log says by how much."""
    with pytest.raises(BadSignature, match="created 3600 seconds in the future"):
        checked(GOOD, now=NOW - 3600)


def test_8_the_algorithm_is_the_keys() -> None:
    """RFC 9421, 7.3.6: a public half as the secret of an hmac is no signature."""
    public = ed25519_key(ED25519_PUBLIC)
    forger = hmac_key("k1", ED25519_PUBLIC)
    fields = sign(VALUES, forger, created=NOW, nonce=NONCE)
    assert checked(fields, keys={"k1": forger}) == PROOF
    with pytest.raises(BadSignature, match="alg is"):
        checked(fields, keys={"k1": public})
    bare = (LIST + PARAMETERS).replace(';alg="hmac-sha256"', "")
    with pytest.raises(BadSignature, match="wrong signature"):
        checked(Fields(f"wsgiproxy={bare}", fields.signature), keys={"k1": public})


def test_8_every_key_of_the_file_verifies() -> None:
    """So that keys can be changed while requests are under way."""
    for key in KEYS.values():
        assert checked(sign(VALUES, key, created=NOW, nonce=NONCE)).keyid == key.keyid
    with pytest.raises(BadSignature, match="no such key: 'k1'; have the two sides the same"):
        checked(GOOD, keys={"k2": KEYS["k2"]})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, 31, 33, 63, 65, 512])
def test_9_signatures_of_another_length(algorithm: str, size: int) -> None:
    key = KEY if algorithm == "hmac-sha256" else ed25519_key()
    encoded = base64.b64encode(bytes(size)).decode("ascii")
    fields = sign(VALUES, key, created=NOW, nonce=NONCE)
    with pytest.raises(BadSignature, match="signature"):
        checked(Fields(fields[0], f"wsgiproxy=:{encoded}:"), keys={"k1": key})


def test_10_one_text_for_one_signature() -> None:
    """Base64 has bits to spare in its last character: only zeros are right."""
    last = GOOD.signature[-3]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    same = [
        c for c in alphabet if c != last and alphabet.index(c) >> 2 == alphabet.index(last) >> 2
    ]
    assert len(same) == 3
    for character in same:
        changed = f"{GOOD.signature[:-3]}{character}=:"
        assert base64.b64decode(changed[11:-1]) == base64.b64decode(GOOD.signature[11:-1])
        with pytest.raises(BadSignature, match="canonical"):
            checked(Fields(GOOD[0], changed))


def test_a_refusal_is_a_403_that_says_nothing() -> None:
    """14: why is for the log alone."""
    texts = set()
    for fields, _ in (param.values for param in REFUSED):
        with pytest.raises(BadSignature) as caught:
            checked(fields)
        assert isinstance(caught.value, Forbidden)
        texts.add((caught.value.status, caught.value.public))
    assert texts == {(403, "This request is not allowed here.")}


# Any change fails


@st.composite
def changed(draw: st.DrawFn, original: str) -> str:
    """A text with one character more, less, or another."""
    at = draw(st.integers(0, len(original)))
    kind = draw(st.sampled_from(["insert", "delete", "replace", "swap"]))
    one = draw(st.characters(max_codepoint=255) | st.sampled_from('";=:,() AaBb01+/=-@\t'))
    if kind == "insert":
        return original[:at] + one + original[at:]
    if kind == "delete":
        return original[:at] + original[at + 1 :]
    if kind == "swap":
        return original[:at] + original[at : at + 2][::-1] + original[at + 2 :]
    return original[:at] + one + original[at + 1 :]


_SIGNED = {
    key.algorithm: sign(VALUES, key, created=NOW, nonce=NONCE) for key in [KEY, ed25519_key()]
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(data=st.data())
def test_any_change_of_a_covered_value_fails(algorithm: str, data: st.DataObject) -> None:
    """One character of method, authority, query or envelope, and nothing is believed."""
    keys = {"k1": KEY if algorithm == "hmac-sha256" else ed25519_key()}
    name = data.draw(st.sampled_from(NAMES))
    value = data.draw(changed(VALUES[name]))
    assume(value != VALUES[name])
    assert checked(_SIGNED[algorithm], keys=keys) == PROOF
    with pytest.raises(BadSignature):
        checked(_SIGNED[algorithm], {**VALUES, name: value}, keys)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(data=st.data())
def test_any_change_of_a_field_fails(algorithm: str, data: st.DataObject) -> None:
    """One character of Signature-Input or Signature; but a space around is no part of either.

    RFC 9110, 5.5 and RFC 8941, 4.2 take it off before anybody looks.
    """
    keys = {"k1": KEY if algorithm == "hmac-sha256" else ed25519_key()}
    fields = _SIGNED[algorithm]
    which = data.draw(st.sampled_from(Fields._fields))
    value = data.draw(changed(getattr(fields, which)))
    assume(value.strip(" ") != getattr(fields, which))
    with pytest.raises(BadSignature):
        checked(fields._replace(**{which: value}), keys=keys)


def test_every_deletion_and_every_bit_of_a_field_fails() -> None:
    """The same, for all positions there are."""
    for which in Fields._fields:
        original = getattr(GOOD, which)
        for at, character in enumerate(original):
            others = {chr(ord(character) ^ 1 << bit) for bit in range(8)} | {""}
            for other in others:
                fields = GOOD._replace(**{which: original[:at] + other + original[at + 1 :]})
                with pytest.raises(BadSignature):
                    checked(fields)


@given(
    st.tuples(*[text | st.lists(st.sampled_from([*GOOD, ", ", ";x", "=", "a"])).map("".join)] * 2)
)
def test_any_fields_are_verified_or_refused(fields: tuple[str, str]) -> None:
    """Whatever the two fields hold, the answer is a proof of what was signed, or BadSignature."""
    try:
        assert checked(Fields(*fields)) == PROOF
    except BadSignature:
        return
    assert GOOD[0] in fields[0]
    assert GOOD[1] in fields[1]


# What others make of it


REQUESTS = [
    pytest.param("GET", "http://a.example/a", "a.example", "", id="no-query"),
    pytest.param("GET", "http://a.example/a?", "a.example", "", id="question-mark-alone"),
    pytest.param("POST", "http://a.example/?x=1&y=%20", "a.example", "x=1&y=%20", id="query"),
    pytest.param("GET", "http://A.Example:80/?q", "A.Example:80", "q", id="default-port"),
    pytest.param("PURGE", "http://a.example:8080/?a=?;b", "a.example:8080", "a=?;b", id="port"),
    pytest.param("GET", "http://[::1]:8080/", "[::1]:8080", "", id="ipv6"),
    pytest.param("GET", "https://a.example:443/", "a.example:443", "", id="https"),
]


def components(method: str, host: str, url: str, query: str) -> dict[str, str]:
    scheme = url.partition(":")[0]
    return {
        "@method": method,
        "@authority": authority(host, scheme),
        "@query": f"?{query}",
        "wsgiproxy": "eyJ2IjoxfQ",
        **MORE,
    }


def message(method: str, url: str) -> Message:
    headers = {"WSGIProxy": "eyJ2IjoxfQ", "X-Traversal-Path": "/app"}
    headers |= {"X-Traversal-Query-String": "k=1", "Content-Digest": MORE["content-digest"]}
    return Message(method, url, headers)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("method", "url", "host", "query"), REQUESTS)
def test_the_library_signs_and_we_verify(algorithm, method, url, host, query) -> None:
    """The PyPI package http-message-signatures."""
    now = int(time.time())
    key = KEY if algorithm == "hmac-sha256" else ed25519_key(ED25519_PUBLIC)
    names = (*NAMES, *MORE)
    fields = library_signs(algorithm, message(method, url), created=now, nonce=NONCE, names=names)
    values = components(method, host, url, query)
    assert checked(fields, values, {"k1": key}, now) == Proof("k1", now, NONCE, names)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("method", "url", "host", "query"), REQUESTS)
def test_we_sign_and_the_library_verifies(algorithm, method, url, host, query) -> None:
    now = int(time.time())
    key = KEY if algorithm == "hmac-sha256" else ed25519_key()
    fields = sign(components(method, host, url, query), key, created=now, nonce=NONCE)
    assert library_verifies(algorithm, message(method, url), fields, (*NAMES, *MORE)) == {
        "created": now,
        "keyid": "k1",
        "alg": algorithm,
        "nonce": NONCE,
        "tag": "wsgiproxy",
    }

"""The doctor's rules: which facts make which findings."""

from __future__ import annotations

import json
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.diagnosis import (
    FORGED,
    NAMES,
    ODD_PATHS,
    Asking,
    Examination,
    Finding,
    Installation,
    Observed,
    Question,
    diagnose,
    read_examination,
    read_question,
    shown,
    verdict,
    write_question,
)
from wsgiproxy.sansio.diagnosis.checks import CHECKS, CURES, NGINX, SOURCES, TOPICS
from wsgiproxy.sansio.diagnosis.facts import collect
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.keys import hmac_key

KEY = hmac_key("k.1", b"x" * 32)
OWN = "198.51.100.7"
PROXY = "10.0.0.2"
TARGET = Asking("http", "www.example", "/app/x", OWN, "k1")
INSTALLATION = Installation("1.0")
NOW = 1_800_000_000.0

SEEN = {
    "REQUEST_METHOD": "GET",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "www.example",
    "REMOTE_ADDR": OWN,
    "SCRIPT_NAME": "/app",
    "PATH_INFO": "/x",
}
PLAIN_ENVIRON = {**SEEN, "HTTP_HOST": "10.0.0.9:8000", "REMOTE_ADDR": PROXY, "SCRIPT_NAME": ""}
ANNOUNCED = {
    "HTTP_X_FORWARDED_FOR": OWN,
    "HTTP_X_FORWARDED_PROTO": "http",
    "HTTP_X_FORWARDED_HOST": "www.example",
    "HTTP_X_FORWARDED_PREFIX": "/app",
}
NONE: dict[str, str] = {}


def signed(**more: Any) -> Examination:
    """A healthy backend with a secret_file."""
    found = Examination(
        doctor="n",
        clock=NOW,
        version="1.0",
        python="3.13",
        middleware="WSGIProxyMiddleware",
        mode="secret_file",
        arrived={**PLAIN_ENVIRON, **ANNOUNCED, "HTTP_WSGIPROXY": "(300 characters)"},
        seen=SEEN,
        verified="k1",
        created=int(NOW),
    )
    return found._replace(**more)


def trusting(**more: Any) -> Examination:
    """A healthy backend with trust_ips."""
    found = signed(
        mode="trust_ips",
        reads="x-forwarded",
        peer_trusted=True,
        verified="",
        created=0,
        arrived={**PLAIN_ENVIRON, **ANNOUNCED},
    )
    return found._replace(**more)


def refused(reason: str, status: int = 403, **more: Any) -> Examination:
    return signed(status=status, reason=reason, seen={}, verified="")._replace(**more)


def answered(found: Examination | None, **more: Any) -> Observed:
    return Observed(found, 200, NOW)._replace(**more)


def found_in(
    found: Examination, address: Asking = TARGET, **others: Examination | Observed | None
) -> list[Finding]:
    """All findings; each of *others* is the result of a probe, or its examination."""
    observed = {"plain": answered(found)}
    for name, other in others.items():
        observed[name] = other if isinstance(other, Observed) else answered(other)
    return diagnose(INSTALLATION, address, observed)


def one(findings: list[Finding], topic: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.topic == topic]
    return finding


def holds(finding: Finding, level: str, text: str = "", cure: str = "") -> bool:
    assert (finding.level, text in finding.sentence, cure in finding.cure) == (level, True, True), (
        finding
    )
    return True


# -- the question ----------------------------------------------------------------------


@given(st.text(max_size=200))
def test_random_text_is_not_a_question(text):
    """Only the holder of the key can write a question."""
    assert read_question(text, {"k.1": KEY}) is None


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_question_with_one_changed_character_is_rejected(position, character):
    text = write_question(Question("k.1", 1_800_000_000, "n" * 16), KEY)
    position %= len(text)
    other = text[:position] + character + text[position + 1 :]
    # The last character of base64url holds bits that stand for nothing.
    assert other == text or position == len(text) - 1 or read_question(other, {"k.1": KEY}) is None


def test_a_signature_that_is_not_base64_is_rejected():
    text = write_question(Question("k.1", 1_800_000_000, "n" * 16), KEY)
    assert read_question(text.rpartition(".")[0] + ".A", {"k.1": KEY}) is None


def test_the_signed_text_of_a_question():
    texts: list[bytes] = []

    def sign(base: bytes) -> bytes:
        texts.append(base)
        return b"x"

    write_question(Question("k.1", 1, "n" * 16), KEY._replace(sign=sign))
    assert texts == [b"wsgiproxy doctor\nk.1\n1\n" + b"n" * 16]


# -- the answer ------------------------------------------------------------------------


def test_an_examination_survives_json():
    found = signed(carried=("A",), fixed=("scheme",))
    assert read_examination(json.loads(json.dumps(found._asdict())), "n") == found


def test_missing_and_unknown_fields_of_other_versions():
    assert read_examination({"doctor": "n", "news": [1]}, "n") == Examination(doctor="n")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="list"),
        pytest.param({}, id="empty"),
        pytest.param({"doctor": "m"}, id="another-nonce"),
        pytest.param({"doctor": "n", "clock": "1"}, id="text-for-a-number"),
        pytest.param({"doctor": "n", "clock": True}, id="true-for-a-number"),
        pytest.param({"doctor": "n", "clock": float("nan")}, id="nan"),
        pytest.param({"doctor": "n", "clock": 10**400}, id="huge"),
        pytest.param({"doctor": "n", "stale": 1}, id="number-for-true"),
        pytest.param({"doctor": "n", "seen": {"a": 1}}, id="number-in-an-object"),
        pytest.param({"doctor": "n", "seen": []}, id="list-for-an-object"),
        pytest.param({"doctor": "n", "carried": [1]}, id="number-in-a-list"),
        pytest.param({"doctor": "n", "carried": "ab"}, id="text-for-a-list"),
        pytest.param({"doctor": "n", "mode": None}, id="null-for-a-text"),
    ],
)
def test_an_invalid_examination_is_rejected(answer):
    assert read_examination(answer, "n") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(Examination._fields), JSON))
def test_any_examination_has_a_diagnosis(answer):
    """The doctor may be connected to any server: no answer raises an error."""
    found = read_examination({**answer, "doctor": "n"}, "n")
    observed = dict.fromkeys(
        ["plain", "forged", "names", *ODD_PATHS, "application"], answered(found)
    )
    findings = diagnose(INSTALLATION, TARGET, observed)
    assert findings and verdict(findings, observed) in (0, 1, 2)


def test_environ_keys_that_are_shown():
    environ = {
        "wsgi.url_scheme": "http",
        "wsgi.input": object(),
        "HTTP_COOKIE": "a",
        "HTTP_X_DOCTOR_TWICE": "a,b",
        "HTTP_X_DOCTOR": "token",
        "HTTP_X_FORWARDED_USER": "bob",
        "REMOTE_USER": "bob",
    }
    assert shown(environ) == {
        "wsgi.url_scheme": "http",
        "HTTP_X_DOCTOR_TWICE": "a,b",
        "HTTP_X_FORWARDED_USER": "(3 characters)",
    }


# -- a healthy stack -------------------------------------------------------------------


def probed(found: Examination) -> dict[str, Examination]:
    """What a healthy stack answers to the other questions."""
    arrived = {**found.arrived, "HTTP_X_DOCTOR_TWICE": "a, b"}
    odd = {
        name: found._replace(seen={**found.seen, "REQUEST_URI": "/app/x" + tail})
        for name, tail in ODD_PATHS.items()
    }
    return {"forged": found, "names": found._replace(arrived=arrived), **odd}


@pytest.mark.parametrize("found", [signed(), trusting()], ids=["signed", "trusting"])
def test_a_healthy_stack_has_only_ok_findings(found):
    findings = found_in(found, **probed(found))
    assert [finding for finding in findings if finding.level != "ok"] == []
    assert verdict(findings, {"plain": answered(found)}) == 0
    topics = [finding.topic for finding in findings]
    for topic in ("answer", "clock", "client", "scheme", "host", "prefix", "forgery", "path"):
        assert topics.count(topic) == 1


def test_verdict():
    findings = [Finding("ok", "a", "b"), Finding("warn", "a", "b")]
    observed = {"plain": answered(signed())}
    assert verdict(findings, observed) == 0
    assert verdict([*findings, Finding("bad", "a", "b")], observed) == 1
    assert verdict(findings, {"plain": answered(None)}) == 2


# -- who answers, and whether it is believed -------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        pytest.param(signed(), "it has a secret_file", id="secret"),
        pytest.param(trusting(), "believes the X-Forwarded-* fields of the peers", id="trust"),
        pytest.param(trusting(reads="forwarded"), "the field Forwarded", id="forwarded"),
        pytest.param(trusting(mode="counts", reads="x_for=1"), "(x_for=1)", id="counts"),
        pytest.param(trusting(mode="nothing"), "believes nobody", id="nothing"),
        pytest.param(trusting(mode="new"), "unknown mode", id="unknown"),
        pytest.param(
            signed(arrived={"SERVER_SOFTWARE": "waitress"}), "(Python 3.13, waitress)", id="server"
        ),
    ],
)
def test_answer_names_mode_and_server(found, text):
    assert holds(one(found_in(found), "answer"), "ok", text)


@pytest.mark.parametrize(
    ("found", "level", "text", "cure"),
    [
        pytest.param(signed(), "ok", "with key 'k1'", "", id="verified"),
        pytest.param(
            refused("not signed; has WSGIProxyApp or ASGIProxyApp the same secret_file?"),
            "bad",
            "with 403: not signed; has WSGIProxyApp or ASGIProxyApp the same secret_file?",
            "Give the proxy the key file: WSGIProxyApp or ASGIProxyApp(href,",
            id="proxy-does-not-sign",
        ),
        pytest.param(
            refused("not signed; ...", arrived=PLAIN_ENVIRON),
            "bad",
            "not signed",
            "you may have asked the backend itself",
            id="asked-the-backend",
        ),
        pytest.param(refused("no such key: 'k9'"), "bad", "'k9'.", "both must hold", id="key"),
        pytest.param(refused("created 99 seconds ago"), "bad", "99", "NTP", id="clock"),
        pytest.param(refused("wrong signature by"), "bad", "", "proxy_set_header Host", id="host"),
        pytest.param(refused("signed for '/a'"), "bad", "", "proxy_pass no path", id="path"),
        pytest.param(refused("the body is not covered"), "bad", "", "sign_body", id="body"),
        pytest.param(
            refused("the store of nonces failed", 503), "bad", "503", "replay=", id="store"
        ),
        pytest.param(refused("expires has passed"), "bad", "", "log of the backend", id="other"),
        pytest.param(
            refused("verified already: is it twice?", inner=True), "bad", "", "once", id="inner"
        ),
        pytest.param(signed(verified=""), "warn", "lets it in", "Give the proxy", id="strip"),
    ],
)
def test_signature_finding(found, level, text, cure):
    assert holds(one(found_in(found), "signature"), level, text, cure)


@pytest.mark.parametrize(
    ("found", "level", "text", "cure"),
    [
        pytest.param(trusting(), "ok", "from '10.0.0.2', which is trusted", "", id="trusted"),
        pytest.param(
            trusting(arrived={**PLAIN_ENVIRON, **ANNOUNCED, "wsgiproxy.peer": "10.0.0.3"}),
            "ok",
            "'10.0.0.3'",
            "",
            id="peer-of-the-socket",
        ),
        pytest.param(
            trusting(peer_trusted=False), "bad", "not in trust_ips", "add it", id="not-trusted"
        ),
        pytest.param(
            trusting(peer_trusted=False, arrived=PLAIN_ENVIRON), "ok", "told nothing", "", id="none"
        ),
        pytest.param(
            trusting(arrived=PLAIN_ENVIRON),
            "bad",
            "told nothing",
            "X-Forwarded-For",
            id="no-fields",
        ),
        pytest.param(
            trusting(mode="nothing", peer_trusted=False),
            "bad",
            "the backend believes nobody",
            "trust_ips='10.0.0.2'",
            id="announced",
        ),
        pytest.param(
            trusting(mode="nothing", arrived=PLAIN_ENVIRON),
            "ok",
            "nobody has",
            "",
            id="nothing-announced",
        ),
    ],
)
def test_trust_finding(found, level, text, cure):
    assert holds(one(found_in(found), "trust"), level, text, cure)


def test_refused_without_secret_file():
    found = trusting(status=400, reason="Host 'x' is not in allowed_hosts", seen={})
    findings = found_in(found)
    assert holds(one(findings, "refused"), "bad", "with 400: Host 'x' is not")
    assert "client" not in [finding.topic for finding in findings]
    finding = one(found_in(found._replace(inner=True)), "refused")
    assert holds(finding, "bad", "with 400", "applied twice")


@pytest.mark.parametrize(
    ("mode", "cure"), [("trust_ips", "in trust_ips, or"), ("counts", "beside the counts, or")]
)
def test_trust_in_every_peer_is_a_warning(mode, cure):
    found = trusting(everybody=True, mode=mode)
    assert holds(one(found_in(found), "everybody"), "warn", "can forge", cure)


# -- what the application sees ---------------------------------------------------------


def sees(found: Examination, **changed: str) -> Examination:
    keys = {"client": "REMOTE_ADDR", "scheme": "wsgi.url_scheme", "host": "HTTP_HOST"}
    return found._replace(
        seen={**found.seen, **{keys.get(name, name): value for name, value in changed.items()}}
    )


def tells(found: Examination, *without: str, **told: str) -> Examination:
    """With other forwarding fields: some left out, some changed."""
    kept = {key: value for key, value in found.arrived.items() if key not in without}
    return found._replace(arrived={**kept, **told})


@pytest.mark.parametrize(
    ("found", "own", "level", "text", "cure"),
    [
        pytest.param(signed(), OWN, "ok", "'198.51.100.7' (signed)", "", id="signed"),
        pytest.param(trusting(), OWN, "ok", "(by X-Forwarded-For)", "", id="field"),
        pytest.param(
            trusting(arrived=PLAIN_ENVIRON), OWN, "ok", "(from the connection itself)", "", id="not"
        ),
        pytest.param(
            sees(signed(), client="::1"),
            "127.0.0.1",
            "warn",
            "'::1'",
            "another machine",
            id="loopback",
        ),
        pytest.param(
            sees(signed(), client="127.0.0.1"),
            OWN,
            "bad",
            "takes '127.0.0.1' for the client; the doctor asks from '198.51.100.7'",
            "trusted_proxies",
            id="a-proxy-before-the-front",
        ),
        pytest.param(
            sees(tells(trusting(), "HTTP_X_FORWARDED_FOR"), client=PROXY),
            OWN,
            "bad",
            "takes '10.0.0.2'",
            "nginx: proxy_set_header X-Forwarded-For $remote_addr;",
            id="no-field",
        ),
        pytest.param(
            sees(tells(trusting(), HTTP_X_FORWARDED_FOR="unknown"), client=PROXY),
            OWN,
            "bad",
            "",
            "X-Forwarded-For says 'unknown'",
            id="field-without-address",
        ),
        pytest.param(sees(signed(), client=""), OWN, "bad", "takes ''", "", id="unix"),
        pytest.param(
            sees(signed(), client="203.0.113.1"), OWN, "warn", "", "translator", id="translated"
        ),
        pytest.param(signed(), "", "warn", "'198.51.100.7'", "", id="own-unknown"),
    ],
)
def test_client_finding(found, own, level, text, cure):
    findings = found_in(found, TARGET._replace(own=own))
    assert holds(one(findings, "client"), level, text, cure)


@pytest.mark.parametrize(
    ("found", "level", "text", "cure"),
    [
        pytest.param(sees(signed(), scheme="https"), "ok", "'https' (signed)", "", id="signed"),
        pytest.param(
            sees(trusting(fixed=("scheme",)), scheme="https"), "ok", "setting scheme", "",
            id="fixed",
        ),
        pytest.param(
            trusting(fixed=("scheme",)), "bad", "but the application sees 'http'", "setting scheme",
            id="fixed-wrongly",
        ),
        pytest.param(signed(), "bad", "You asked by 'https'", "trusted_proxies", id="lost-before"),
        pytest.param(
            trusting(), "bad", "", "X-Forwarded-Proto says 'http'", id="wrong-field"
        ),
        pytest.param(
            tells(trusting(), "HTTP_X_FORWARDED_PROTO"),
            "bad",
            "",
            "X-Forwarded-Proto $scheme;",
            id="no-field",
        ),
        pytest.param(
            trusting(reads="historical"), "bad", "", "Let the proxy send X-Forwarded-Scheme.",
            id="no-historical-field",
        ),
        pytest.param(
            trusting(mode="nothing"), "bad", "", "trust_ips or secret_file", id="direct"
        ),
    ],
)  # fmt: skip
def test_scheme_finding(found, level, text, cure):
    findings = found_in(found, TARGET._replace(scheme="https"))
    assert holds(one(findings, "scheme"), level, text, cure)


@pytest.mark.parametrize(
    ("found", "host", "level", "cure"),
    [
        pytest.param(signed(), "www.example", "ok", "", id="same"),
        pytest.param(signed(), "WWW.example:80", "ok", "", id="the-same-in-other-letters"),
        pytest.param(signed(), "www.example:8080", "bad", "trusted_proxies", id="port"),
        pytest.param(sees(signed(), host="h:x"), "www.example", "bad", "", id="no-port"),
        pytest.param(sees(trusting(), host="h"), "www.example", "bad", "says 'www", id="field"),
    ],
)
def test_host_finding(found, host, level, cure):
    assert holds(one(found_in(found, TARGET._replace(host=host)), "host"), level, "", cure)


@pytest.mark.parametrize(
    ("script_name", "path_info", "path", "level", "text"),
    [
        pytest.param("/app", "/x", "/app/x", "ok", "below '/app'", id="mounted"),
        pytest.param("", "/app/x", "/app/x", "ok", "at the root", id="root"),
        pytest.param("", "", "/", "ok", "at the root", id="empty"),
        pytest.param("", "/caf\xc3\xa9", "/caf%C3%A9", "ok", "at the root", id="encoded"),
        pytest.param("", "/x", "/app/x", "bad", "at the root: its links lack '/app'", id="lost"),
        pytest.param("", "/", "/app/", "bad", "lack '/app'", id="lost-with-a-slash"),
        pytest.param("", "/", "/app", "bad", "lack '/app'", id="lost-without-one"),
        pytest.param("/b", "/", "/a/b/", "bad", "below '/b': its links lack '/a'", id="half"),
        pytest.param("/app", "/app/x", "/app/x", "bad", "'/app' too much", id="twice"),
    ],
)
def test_prefix_finding(script_name, path_info, path, level, text):
    found = sees(signed(), SCRIPT_NAME=script_name, PATH_INFO=path_info)
    finding = one(found_in(found, TARGET._replace(path=path)), "prefix")
    assert holds(finding, level, text)
    assert bool(finding.cure) == (level == "bad")


@pytest.mark.parametrize(
    ("found", "cure"),
    [
        pytest.param(signed(), "named in trusted_proxies", id="signed"),
        pytest.param(
            tells(trusting(), "HTTP_X_FORWARDED_PREFIX"), "X-Forwarded-Prefix /app;", id="field"
        ),
        pytest.param(trusting(reads="forwarded"), "a setting", id="no-field-of-that-family"),
        pytest.param(trusting(fixed=("pop_prefix",)), "The setting pop_prefix", id="fixed"),
    ],
)
def test_cure_of_a_lost_prefix(found, cure):
    found = sees(found, SCRIPT_NAME="")
    assert holds(one(found_in(found), "prefix"), "bad", "lack '/app'", cure)


def test_a_rewritten_path_is_bad():
    found = sees(signed(), SCRIPT_NAME="", PATH_INFO="/other")
    assert holds(one(found_in(found), "path"), "bad", "rewrites it")


# -- fields and keys -------------------------------------------------------------------


def test_unused_forwarding_fields_are_listed():
    found = tells(trusting(), HTTP_FORWARDED="for=1", HTTP_X_REAL_IP="1", HTTP_VIA="1.1 x")
    finding = one(found_in(found), "fields")
    assert holds(finding, "ok", "count for nothing: Forwarded, X-Real-Ip.")


def test_the_envelope_field_is_spelled_wsgiproxy():
    found = tells(trusting(), HTTP_WSGIPROXY="(300 characters)")
    assert holds(one(found_in(found), "fields"), "ok", "count for nothing: WSGIProxy.")


def test_forwarding_fields_beside_a_signature_are_listed():
    assert holds(one(found_in(signed()), "fields"), "ok", "X-Forwarded-For, X-Forwarded-Host")


def test_carried_keys_that_are_not_accepted():
    found = signed(carried=("REMOTE_USER", "a.b"), accepted=("a.b",))
    finding = one(found_in(found), "carried")
    assert holds(finding, "warn", "'REMOTE_USER'", "accept_keys=['REMOTE_USER']")
    assert "carried" not in [
        each.topic for each in found_in(signed(carried=("a",), accepted=("a",)))
    ]


# -- cases found on real stacks --------------------------------------------------------

WAITRESS = {**PLAIN_ENVIRON, "SERVER_SOFTWARE": "waitress"}


@pytest.mark.parametrize(
    ("found", "forged", "level", "text", "cure"),
    [
        pytest.param(
            trusting(arrived=WAITRESS), trusting(arrived={**WAITRESS, "HTTP_X_REAL_IP": "1"}),
            "bad", "X-Forwarded-For did not arrive", "clear_untrusted_proxy_headers=False",
            id="waitress",
        ),
        pytest.param(
            refused("nothing announced", mode="trust_ips", peer_trusted=True, arrived=WAITRESS),
            None, "bad", "waitress", "trusted_proxy", id="waitress-and-refused",
        ),
        pytest.param(
            trusting(arrived={**WAITRESS, "HTTP_X_FORWARDED_PREFIX": "/app"}), None,
            "bad", "waitress", "trusted_proxy", id="prefix-is-not-among-them",
        ),
        pytest.param(
            trusting(arrived=WAITRESS), trusting(arrived={**WAITRESS, **ANNOUNCED}),
            "bad", "told nothing about the client.", "the backend itself", id="waitress-keeps-them",
        ),
        pytest.param(
            trusting(arrived=PLAIN_ENVIRON),
            trusting(arrived={**PLAIN_ENVIRON, "HTTP_X_REAL_IP": "1"}),
            "bad", "something on the way removes X-Forwarded-For", "its proxy", id="removed",
        ),
        pytest.param(
            trusting(reads="forwarded"), None,
            "bad", "in Forwarded, which is read here; its X-Forwarded-For is not",
            "family='x-forwarded'", id="another-family",
        ),
        pytest.param(
            trusting(mode="counts", reads="x_for=0, x_host=1", arrived=PLAIN_ENVIRON), None,
            "ok", "", "", id="client-not-counted",
        ),
    ],
)  # fmt: skip
def test_trusted_peer_without_its_client_field(found, forged, level, text, cure):
    observed = {} if forged is None else {"forged": forged}
    assert holds(one(found_in(found, **observed), "trust"), level, text, cure)


@pytest.mark.parametrize(
    ("middleware", "named"),
    [
        pytest.param("WSGIProxyMiddleware", "WSGIProxyMiddleware", id="WSGI"),
        pytest.param("ASGIProxyMiddleware", "ASGIProxyMiddleware", id="ASGI"),
        pytest.param("", "WSGIProxyMiddleware or ASGIProxyMiddleware", id="an-earlier-version"),
        pytest.param("rm -r ", "WSGIProxyMiddleware or ASGIProxyMiddleware", id="another-name"),
    ],
)
def test_the_class_that_has_answered_is_named(middleware, named):
    findings = found_in(trusting(middleware=middleware, require_forwarded=False))
    assert one(findings, "answer").sentence.startswith(f"{named} 1.0 answered")
    assert one(findings, "unannounced").cure.startswith(f"{named}(app, ..., require_forwarded")


def test_where_nothing_has_answered_both_classes_are_named():
    observed = {"plain": Observed(None, 403, NOW)}
    finding = one(diagnose(INSTALLATION, TARGET._replace(keyid="k1"), observed), "answer")
    assert "backend has WSGIProxyMiddleware or ASGIProxyMiddleware, its" in finding.sentence
    assert "WSGIProxyMiddleware or ASGIProxyMiddleware(app, secret_file" in finding.cure


@pytest.mark.parametrize(
    ("found", "topic"),
    [
        (trusting(require_forwarded=False), "unannounced"),
        (signed(public=True, authorities=False), "authorities"),
    ],
)
def test_missing_settings_are_recommended(found, topic):
    finding = one(found_in(found), topic)
    assert holds(finding, "warn", "", "WSGIProxyMiddleware(app, ..., ")


@pytest.mark.parametrize(
    "found",
    [
        trusting(),
        signed(public=True, authorities=True),
        signed(authorities=False),
        trusting(mode="nothing", require_forwarded=False),
        trusting(mode="counts", reads="x_for=1", require_forwarded=False),
    ],
)
def test_settings_that_are_not_recommended(found):
    topics = [finding.topic for finding in found_in(found)]
    assert "unannounced" not in topics and "authorities" not in topics


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("Signature did not arrive; what removes it?", "Signature"),
        ("Signature-Input did not arrive; what removes it?", "Signature-Input"),
        ("wsgiproxy is covered, but not there", "WSGIProxy"),
        ("x-traversal-path is covered, but not there", "x-traversal-path"),
    ],
)
def test_dropped_signature_header_is_named(reason, header):
    cure = f"its header {header} did not arrive"
    assert holds(one(found_in(refused(reason)), "signature"), "bad", reason, cure)


@pytest.mark.parametrize(
    ("script_name", "path_info", "topic", "text", "cure"),
    [
        ("/shop", "/x", "path", "X-Forwarded-Prefix says '/shop'", "What writes X-Forwarded-Pre"),
        ("/shop", "/app/x", "prefix", "have '/shop' too much", "says '/shop'"),
    ],
)
def test_wrong_x_forwarded_prefix_is_quoted(script_name, path_info, topic, text, cure):
    found = tells(trusting(), HTTP_X_FORWARDED_PREFIX="/shop")
    found = sees(found, SCRIPT_NAME=script_name, PATH_INFO=path_info)
    assert holds(one(found_in(found), topic), "bad", text, cure)


@pytest.mark.parametrize(
    ("mount", "arrived", "seen", "mounted"),
    [
        pytest.param("/app", "/x", ("", "/app/x"), True, id="undone"),
        pytest.param("/app", "/x", ("/app", "/x"), False, id="kept"),
        pytest.param("/app", "/x", ("", "/x"), False, id="below-the-path-of-href"),
        pytest.param("", "/x", ("", "/x"), False, id="none"),
    ],
)
def test_mount_around_the_middleware_is_bad(mount, arrived, seen, mounted):
    found = tells(signed(), SCRIPT_NAME=mount, PATH_INFO=arrived)
    findings = found_in(sees(found, SCRIPT_NAME=seen[0], PATH_INFO=seen[1]))
    assert ("mount" in [each.topic for each in findings]) is mounted
    if mounted:
        assert holds(one(findings, "mount"), "bad", "asked for '/app/x' instead of '/x'", "outerm")


@pytest.mark.parametrize(
    ("observed", "level", "text"),
    [
        pytest.param(Observed(status=200), "ok", "with 200", id="200"),
        pytest.param(Observed(status=302), "ok", "with 302", id="302"),
        pytest.param(Observed(status=401), "ok", "a login (401)", id="401"),
        pytest.param(Observed(status=403), "warn", "with 403", id="403"),
        pytest.param(Observed(status=404), "warn", "asked for '/x' below '/app'", id="404"),
        pytest.param(Observed(status=500), "warn", "with 500", id="500"),
        pytest.param(Observed(fault="reset"), "warn", "not answered: reset", id="cut"),
        pytest.param(
            answered(refused("not signed", inner=True)), "bad", "applied twice", id="twice"
        ),
        pytest.param(answered(trusting(inner=True)), "warn", "applied twice", id="twice-and-well"),
    ],
)
def test_application_finding(observed, level, text):
    assert holds(one(found_in(signed(), application=observed), "application"), level, text)


def test_no_application_finding_for_older_versions():
    topics = [finding.topic for finding in found_in(signed(), application=signed())]
    assert "application" not in topics


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("", "nginx: proxy_set_header X-Forwarded-Host $http_host;"),
        ("nginx/1.22.1", "nginx: proxy_set_header X-Forwarded-Host $http_host;"),
        ("Apache/2.4", "Let the proxy send X-Forwarded-Host. docs/trust.rst shows it"),
        ("waitress", "Let the proxy send X-Forwarded-Host. docs/trust.rst shows it"),
    ],
)
def test_nginx_cures_only_behind_nginx(server, line):
    found = tells(sees(trusting(), host="10.0.0.9:8000"), "HTTP_X_FORWARDED_HOST")
    findings = diagnose(INSTALLATION, TARGET, {"plain": answered(found, server=server)})
    assert holds(one(findings, "host"), "bad", "", line)
    if "nginx" not in line:
        assert "nginx:" not in " ".join(finding.cure for finding in findings)


def test_cure_behind_a_trusted_wsgiproxyapp():
    found = sees(tells(trusting(), HTTP_VIA="1.1 wsgiproxy-1a2b"), scheme="https")
    assert holds(one(found_in(found), "scheme"), "bad", "", "trusted_proxies")


def test_no_cure_appends_to_the_field_of_a_client():
    """docs/trust.rst says why."""
    assert "proxy_add" not in repr((NGINX, CHECKS))


@pytest.mark.parametrize("path", ["/caf%C3%A9/x", "/%E9/x"])
def test_non_ascii_paths_are_shown_decoded(path):
    seen = "/caf\xc3\xa9/x" if "C3" in path else "/\xe9/x"
    found = sees(signed(), SCRIPT_NAME="", PATH_INFO=seen)
    finding = one(found_in(found, TARGET._replace(path="/app" + path)), "prefix")
    assert holds(finding, "bad", "sees '/café/x'" if "C3" in path else "sees '/é/x'")
    odd = at("", WHOLE["odd"].replace("//", "/"))
    assert holds(one(found_in(signed(), odd=odd), "path"), "warn", "/odd;a=b/café'")


def test_every_fact_of_the_table_is_collected():
    """A misspelt fact would never hold, and leave a gap in a sentence."""
    names = {f"http_{status}" for status in (400, 401, 403, 404, 407, 504)}
    reasons = ("not_signed", "no_such", "created", "wrong_signature", "signed_for")
    names |= {f"reason_{words}" for words in (*reasons, "the_body", "the_store")}
    exact = probed(signed(created=1, clash=("x",)))
    for plain in (signed(created=1, clash=("x",)), trusting(), None):
        for found in (refused("Signature did not arrive", inner=True), exact["slash"], None):
            others = dict.fromkeys(("forged", "names", *ODD_PATHS, "application"), answered(found))
            observed = {"plain": answered(plain), **others}
            stack, cases = collect(INSTALLATION, TARGET, observed)
            assert set(cases) <= set(TOPICS)
            names.update(stack, *(facts for each in cases.values() for facts in each))
    healthy = {name: answered(each) for name, each in exact.items()}
    names.update(
        *collect(INSTALLATION, TARGET, {"plain": answered(signed()), **healthy})[1]["path"]
    )
    rows = [(check.condition, check.sentence + check.cure) for check in CHECKS]
    for condition, text in [*rows, *SOURCES, *CURES, *((each, "") for each in TOPICS.values())]:
        filled = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert {word.lstrip("-") for word in condition.split()} | filled <= names, text
    assert {check.topic for check in CHECKS} == set(TOPICS)


# -- clocks and versions ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "time", "level", "text"),
    [
        pytest.param(signed(), NOW, "ok", "agree", id="same"),
        pytest.param(signed(), NOW - 1.9, "ok", "agree", id="close"),
        pytest.param(
            signed(), NOW - 3600, "warn", "backend's clock is 60 minutes ahead of the doctor's",
            id="an-hour-ahead",
        ),
        pytest.param(signed(), NOW + 30, "warn", "30 seconds behind the doctor's", id="behind"),
        pytest.param(
            signed(created=int(NOW) - 20), NOW, "warn", "20 seconds ahead of the signing front's",
            id="front-behind",
        ),
        pytest.param(
            refused("created ...", created=int(NOW) + 7200), NOW, "warn",
            "2 hours behind the signing front's", id="front-far-ahead",
        ),
        pytest.param(signed(created=0), NOW, "ok", "agree", id="not-signed"),
    ],
)  # fmt: skip
def test_clock_finding(found, time, level, text):
    findings = diagnose(INSTALLATION, TARGET, {"plain": answered(found, time=time)})
    assert holds(one(findings, "clock"), level, text)


def test_half_the_duration_of_a_slow_answer_is_no_clock_difference():
    observed = {"plain": answered(signed(created=0), time=NOW - 20, spread=25.0)}
    assert holds(one(diagnose(INSTALLATION, TARGET, observed), "clock"), "ok")


def test_doctor_and_front_each_have_a_clock_finding():
    observed = {"plain": answered(signed(created=int(NOW) - 50), time=NOW + 50)}
    clocks = [
        finding for finding in diagnose(INSTALLATION, TARGET, observed) if finding.topic == "clock"
    ]
    assert [finding.level for finding in clocks] == ["warn", "warn"]


def test_other_version_is_a_warning():
    assert holds(one(found_in(signed(version="2.0")), "version"), "warn", "'2.0', and this is")


def test_installation_without_clash_is_ok():
    (finding,) = diagnose(INSTALLATION)
    assert holds(finding, "ok", "installation of wsgiproxy 1.0")


def test_clashes_of_both_ends_are_bad():
    observed = {"plain": answered(signed(clash=("There it is.",)))}
    findings = diagnose(Installation("1.0", ("Here it is.",)), TARGET, observed)
    sentences = [each.sentence for each in findings if each.topic == "installation"]
    assert sentences == ["Here: Here it is.", "At the backend: There it is."]
    assert verdict(findings, observed) == 1
    assert "pip uninstall WSGIProxy2" in findings[0].cure


# -- forgeries -------------------------------------------------------------------------

FORGED_FOR = "192.0.2.66"


def forged(found: Examination, *facts: str) -> Examination:
    """*found*, with forged values believed."""
    values = {"client": FORGED_FOR, "scheme": "https", "host": "doctor.invalid"}
    values["SCRIPT_NAME"] = "/doctor-forged"
    return sees(found, **{fact: values[fact] for fact in facts})


DIRECT = trusting(arrived={**PLAIN_ENVIRON, "REMOTE_ADDR": OWN})
APPENDED = tells(trusting(), HTTP_X_FORWARDED_FOR=f"{FORGED_FOR}, {OWN}")
PASSED = tells(trusting(), HTTP_X_FORWARDED_FOR=FORGED_FOR)
EVERY_PEER = trusting(everybody=True)


@pytest.mark.parametrize(
    ("plain", "found", "own", "level", "text", "cure"),
    [
        pytest.param(signed(), signed(), OWN, "ok", "have no effect", "", id="none"),
        pytest.param(
            EVERY_PEER, forged(EVERY_PEER, "client", "host", "scheme", "SCRIPT_NAME"), OWN, "bad",
            "its client address, host, scheme and prefix:", "in trust_ips", id="every-peer",
        ),
        pytest.param(
            EVERY_PEER, forged(EVERY_PEER, "host"), "127.0.0.1", "bad", "its host:", "in trust_ips",
            id="every-peer-from-loopback",
        ),
        pytest.param(
            EVERY_PEER._replace(mode="counts"), forged(EVERY_PEER, "client"), OWN, "bad",
            "its client address:", "count no more proxies", id="counts",
        ),
        pytest.param(
            DIRECT, forged(DIRECT, "client", "host"), OWN, "warn", "since we ask from", "only",
            id="doctor-is-the-trusted-peer",
        ),
        pytest.param(
            trusting(), forged(PASSED, "client"), OWN, "bad", "client address:", "set these fields",
            id="the-proxy-passes-them-on",
        ),
        pytest.param(
            trusting(), forged(trusting(), "host"), OWN, "bad", "host:", "set these fields",
            id="the-proxy-passes-the-host-on",
        ),
        pytest.param(
            trusting(), forged(APPENDED, "client"), OWN, "warn", "since we ask from",
            "Name no more", id="appended-and-doctor-is-trusted",
        ),
        pytest.param(
            signed(), forged(signed(), "client"), "127.0.0.1", "warn", "since we ask from", "",
            id="doctor-is-trusted-by-the-front",
        ),
        pytest.param(
            signed(), forged(signed(), "client"), OWN, "bad", "client address:", "trusted_proxies",
            id="front-trusts-every-peer",
        ),
        pytest.param(
            trusting(), refused("Host 'doctor.invalid' is not in", 400), OWN, "ok",
            "make the backend refuse: Host", "", id="refused",
        ),
        pytest.param(
            refused("not signed"), refused("not signed"), OWN, "warn", "cannot be seen", "",
            id="refused-anyway",
        ),
        pytest.param(
            signed(), Observed(None, 400), OWN, "ok", "(status 400), and keeps it out", "", id="400"
        ),
        pytest.param(
            signed(), Observed(None, 200), OWN, "warn", "not answered: status 200", "", id="page"
        ),
        pytest.param(signed(), Observed(fault="reset"), OWN, "warn", "reset", "", id="cut"),
    ],
)  # fmt: skip
def test_forgery_finding(plain, found, own, level, text, cure):
    findings = found_in(plain, TARGET._replace(own=own), forged=found)
    assert holds(one(findings, "forgery"), level, text, cure)


def test_values_of_the_plain_question_are_not_forged():
    """The host or the prefix of the stack may really be that of the probe."""
    plain = forged(EVERY_PEER, "host", "SCRIPT_NAME")
    address = TARGET._replace(host="doctor.invalid", path="/doctor-forged/x")
    assert holds(one(found_in(plain, address, forged=plain), "forgery"), "ok")


def test_http_is_the_forged_scheme_of_https():
    plain = sees(EVERY_PEER, scheme="https")
    address = TARGET._replace(scheme="https")
    findings = found_in(plain, address, forged=sees(plain, scheme="http"))
    assert holds(one(findings, "forgery"), "bad", "forge its scheme:")
    assert ("X-Forwarded-Proto", "http") in FORGED["https"]


# -- names -----------------------------------------------------------------------------


def with_names(found: Examination, *, underscore: bool, twice: str = "a,b") -> Examination:
    probes = {"HTTP_X_DOCTOR_TWICE": twice} if twice else {}
    if underscore:
        probes["HTTP_X_DOCTOR_UNDERSCORE"] = "1"
    return found._replace(arrived={**found.arrived, **probes})


@pytest.mark.parametrize(
    ("found", "level", "text"),
    [
        pytest.param(with_names(signed(), underscore=False), "ok", "dropped", id="dropped"),
        pytest.param(with_names(signed(), underscore=True), "ok", "get through", id="through"),
        pytest.param(
            with_names(forged(trusting(), "client"), underscore=True), "bad", "can forge it",
            id="believed",
        ),
        pytest.param(Observed(None, 400), "ok", "keeps it out", id="refused"),
    ],
)  # fmt: skip
def test_underscores_finding(found, level, text):
    assert holds(one(found_in(trusting(), names=found), "underscores"), level, text)


@pytest.mark.parametrize(
    ("arrives", "level", "text"),
    [
        ("a,b", "ok", "one list"),
        ("a, b", "ok", "one list"),
        ("b", "warn", "only 'b' arrives"),
        ("", "warn", "none arrives"),
    ],
)
def test_twice_finding(arrives, level, text):
    found = with_names(signed(), underscore=False, twice=arrives)
    assert holds(one(found_in(signed(), names=found), "twice"), level, text)


def test_names_of_probes_are_tokens():
    names = [name for fields in (*FORGED.values(), NAMES) for name, _ in fields]
    assert all(map(is_token, names))


# -- paths -----------------------------------------------------------------------------

WHOLE = {"slash": "/app/x/doctor/slash", "odd": "/app/x/doctor//odd;a=b/caf\xc3\xa9"}
RAW = {name: "/app/x" + tail for name, tail in ODD_PATHS.items()}


def at(raw: str, whole: str) -> Examination:
    return sees(signed(), SCRIPT_NAME="/app", PATH_INFO=whole.removeprefix("/app"), RAW_URI=raw)


@pytest.mark.parametrize(
    ("name", "found", "level", "text"),
    [
        pytest.param("slash", at(RAW["slash"], WHOLE["slash"]), "ok", "can tell", id="raw"),
        pytest.param("slash", at("", WHOLE["slash"]), "warn", "cannot tell %2F", id="no-raw"),
        pytest.param("odd", at(RAW["odd"] + "?a", WHOLE["odd"]), "ok", "byte for byte", id="query"),
        pytest.param("odd", at("", WHOLE["odd"]), "ok", "byte for byte", id="odd-no-raw"),
        pytest.param(
            "odd", at("", WHOLE["odd"].replace("//", "/")), "warn", "tidies it up", id="merged"
        ),
        pytest.param("odd", at("", "/x" + WHOLE["odd"][6:]), "ok", "byte", id="prefix-lost"),
        pytest.param("slash", Observed(None, 404), "ok", "keeps it out", id="refused"),
    ],
)
def test_path_finding(name, found, level, text):
    assert holds(one(found_in(signed(), **{name: found}), "path"), level, text)


def test_two_exact_odd_paths_are_one_finding():
    found = {name: at(RAW[name], WHOLE[name]) for name in ODD_PATHS}
    assert holds(one(found_in(signed(), **found), "path"), "ok", "(%2F, //, ;a=b, non-ASCII)")
    found["slash"] = at("", WHOLE["slash"])
    levels = [each.level for each in found_in(signed(), **found) if each.topic == "path"]
    assert levels == ["warn", "ok"]


def test_no_path_finding_of_a_refused_question():
    found = dict.fromkeys(ODD_PATHS, refused("not signed"))
    assert "path" not in [each.topic for each in found_in(refused("not signed"), **found)]


# -- when no middleware answers ----------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "keyid", "text", "cure"),
    [
        pytest.param(Observed(fault="cut"), "k1", "Nothing answers: cut.", "", id="nothing"),
        pytest.param(Observed(status=200), "", "have its key file", "--secret-file", id="no-key"),
        pytest.param(
            Observed(status=301, location="https://x/"), "k1", "to 'https://x/' (301)", "Ask that",
            id="redirect",
        ),
        pytest.param(Observed(status=200), "k1", "has no key 'k1'", "doctor_file=FILE", id="page"),
        pytest.param(Observed(status=404), "k1", "has no key 'k1'", "WSGIProxyMiddle", id="404"),
        pytest.param(Observed(status=401), "k1", "a login", "--header", id="login"),
        pytest.param(Observed(status=403), "k1", "key file is not ours", "secret_file", id="403"),
        pytest.param(Observed(status=403), "k1", "removes headers, X-Doctor", "", id="403-removed"),
        pytest.param(Observed(status=502), "k1", "not the backend", "Start", id="502"),
    ],
)  # fmt: skip
def test_answer_without_middleware_is_bad(observed, keyid, text, cure):
    findings = diagnose(INSTALLATION, TARGET._replace(keyid=keyid), {"plain": observed})
    assert holds(one(findings, "answer"), "bad", text, cure)
    assert verdict(findings, {"plain": observed}) == 2


def test_sentences_end_and_bad_findings_have_cures():
    """Sentences end; what is wrong has a cure, and what is well needs none."""
    everything = [
        *found_in(refused("not signed?"), forged=Observed(None, 500), names=Observed(None, 404)),
        *found_in(sees(trusting(), scheme="x", host="y", client="z", PATH_INFO="/q")),
    ]
    for finding in everything:
        assert finding.sentence == "" or finding.sentence[-1] in ".?"
        assert finding.cure or finding.level != "bad"
        assert not (finding.cure and finding.level == "ok")

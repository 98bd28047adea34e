"""Rules about the two signature fields: ours are ours alone, those of others pass unharmed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracles import structured_dictionary
from tests.support.rounds import together
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.fields.signature_members import (
    LIMIT,
    Fields,
    foreign_members,
    is_own_member,
    with_members,
)
from wsgiproxy.sansio.fields.structured import dictionary
from wsgiproxy.sansio.message import Headers

OURS = Fields('wsgiproxy=("@method");tag="wsgiproxy"', "wsgiproxy=:AAAA:")
BOT = Fields('sig1=("@authority");created=1;tag="web-bot-auth"', "sig1=:BBBB:")
OTHER = Fields('other=("@path" "@query";req);keyid="k"', "other=:CC==:")
# The draft of Cavage, as ActivityPub speaks it: one field, and no dictionary.
CAVAGE = Fields("", 'keyId="https://a.example/#key",headers="(request-target) host",signature="A="')
NONE = Fields("", "")


def joined(*pairs: Fields) -> Fields:
    return Fields(*map(", ".join, zip(*pairs, strict=True)))


@pytest.mark.parametrize(
    ("text", "own"),
    [
        pytest.param("wsgiproxy", True, id="label"),
        pytest.param("wsgiproxy=1", True, id="label-of-whatever"),
        pytest.param('sig1=();tag="wsgiproxy"', True, id="tag"),
        pytest.param('sig1=();created=1;  tag="wsgiproxy";x', True, id="tag-among-others"),
        pytest.param('sig1=("@method");tag="other"', False, id="another-tag"),
        pytest.param("sig1=();tag=wsgiproxy", False, id="a-token-is-no-tag"),
        pytest.param('sig1=();x-tag="wsgiproxy"', False, id="another-name"),
        pytest.param('sig1=();keyid="wsgiproxy"', False, id="another-parameter"),
        pytest.param('sig1=("a";tag="wsgiproxy")', False, id="a-parameter-of-a-component"),
        pytest.param(r'sig1=();keyid=";tag=\"wsgiproxy\""', False, id="within-a-string"),
        pytest.param('wsgiproxy2=();tag="wsgiproxy2"', False, id="longer-names"),
    ],
)
def test_is_own(text: str, own: bool) -> None:
    ((label, member),) = dictionary(text).items()
    assert is_own_member(label, member) is own


@together
@pytest.mark.parametrize(
    ("fields", "left"),
    [
        pytest.param(NONE, NONE, id="none"),
        pytest.param(OURS, NONE, id="ours"),
        pytest.param(BOT, BOT, id="another"),
        pytest.param(joined(BOT, OURS, OTHER), joined(BOT, OTHER), id="ours-between-others"),
        pytest.param(joined(OURS, BOT), BOT, id="ours-first"),
        pytest.param(
            Fields('sig1=();tag="wsgiproxy", sig2=()', "sig1=:AA==:, sig2=:BB==:"),
            Fields("sig2=()", "sig2=:BB==:"),
            id="our-tag-with-another-label",
        ),
        pytest.param(Fields(OURS[0], ""), NONE, id="input-alone"),
        pytest.param(Fields("", OURS[1]), NONE, id="signature-alone"),
        pytest.param(Fields(BOT[0], OURS[1]), Fields(BOT[0], ""), id="one-of-each"),
        pytest.param(Fields(f"{BOT[0]},{OURS[0]}", BOT[1]), BOT, id="no-space-behind-the-comma"),
        pytest.param(CAVAGE, CAVAGE, id="no-dictionary"),
        pytest.param(Fields("(", "?"), Fields("(", "?"), id="rubbish"),
        pytest.param(Fields("wsgiproxy=(", OURS[1]), NONE, id="no-dictionary-but-our-name"),
        pytest.param(Fields("WSGIProxy=()", ""), NONE, id="our-name-in-upper-case"),
        pytest.param(Fields(f"{OURS[0]},", ""), NONE, id="ours-and-a-comma"),
        pytest.param(joined(OURS, OURS), NONE, id="ours-twice"),
        pytest.param(Fields(BOT[0], f"{BOT[1]}, wsgiproxy=("), NONE, id="one-field-is-broken"),
        pytest.param(Fields("wsgiproxy=1;x=(", ""), NONE, id="ours-broken-and-alone"),
        pytest.param(
            Fields(BOT[0], f'{BOT[1]}, x=:AAAA:;tag="wsgiproxy"'),
            BOT,
            id="our-tag-in-signature-alone",
        ),
        pytest.param(
            Fields(f"{BOT[0]}, x=()", f'{BOT[1]}, x=:AAAA:;tag="wsgiproxy"'),
            BOT,
            id="our-tag-in-one-takes-both",
        ),
        pytest.param(Fields('x=(;tag="wsgiproxy"', ""), NONE, id="no-dictionary-but-our-tag"),
        pytest.param(
            Fields("wsgiproxy2=(", "x"),
            Fields("wsgiproxy2=(", "x"),
            id="no-dictionary-and-a-longer-name",
        ),
        pytest.param(
            Fields("", 'keyId="https://wsgiproxy.example/"'),
            Fields("", 'keyId="https://wsgiproxy.example/"'),
            id="no-dictionary-and-our-name-in-a-value",
        ),
    ],
)
def test_foreign(fields: Fields, left: Fields) -> None:
    """What names us goes, with label or tag; if that cannot be told apart, all goes."""
    assert foreign_members(fields) == left


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        pytest.param(BOT, BOT, id="a-dictionary"),
        pytest.param(CAVAGE, NONE, id="no-dictionary"),
        pytest.param(Fields(BOT[0], CAVAGE[1]), NONE, id="half-of-it"),
    ],
)
def test_foreign_that_ours_can_be_joined_to(fields: Fields, left: Fields) -> None:
    """A field that is half a dictionary would take ours along into the ditch."""
    assert foreign_members(fields, joinable=True) == left


def lines(fields: Fields) -> Headers:
    names = ("Signature-Input", "Signature")
    return [field for field in zip(names, fields, strict=True) if field[1]]


PLAIN = [("Host", "a"), ("Accept", "*/*")]
_LONG = Fields('sig1=("@method")', f"sig1=:{'A' * 4000}:")


@pytest.mark.parametrize(
    ("headers", "ours", "left"),
    [
        pytest.param(PLAIN, None, PLAIN, id="nothing-to-do"),
        pytest.param(PLAIN, OURS, [*PLAIN, *lines(OURS)], id="ours-alone"),
        pytest.param(
            [*lines(OURS), *PLAIN], None, PLAIN, id="a-client-s-that-call-themselves-ours"
        ),
        pytest.param(
            [*lines(joined(OURS, BOT)), *PLAIN], None, [*PLAIN, *lines(BOT)], id="but-not-others"
        ),
        pytest.param(
            [*lines(BOT), *PLAIN], OURS, [*PLAIN, *lines(joined(BOT, OURS))], id="behind-others"
        ),
        pytest.param(
            [*lines(joined(OURS, BOT)), *PLAIN],
            OURS,
            [*PLAIN, *lines(joined(BOT, OURS))],
            id="instead-of-a-client-s",
        ),
        pytest.param(
            [*lines(BOT), *PLAIN, *lines(OTHER)],
            OURS,
            [*PLAIN, *lines(joined(BOT, OTHER, OURS))],
            id="several-lines-become-one",
        ),
        pytest.param([*lines(CAVAGE), *PLAIN], None, [*PLAIN, *lines(CAVAGE)], id="no-dictionary"),
        pytest.param(
            [*lines(CAVAGE), *PLAIN],
            OURS,
            [*PLAIN, *lines(OURS)],
            id="ours-instead-of-no-dictionary",
        ),
        pytest.param([*lines(_LONG), *PLAIN], OURS, [*PLAIN, *lines(OURS)], id="too-long-together"),
        pytest.param(
            [*lines(_LONG), *PLAIN], None, [*PLAIN, *lines(_LONG)], id="long-but-not-together"
        ),
    ],
)
def test_signed(headers: Headers, ours: Fields | None, left: Headers) -> None:
    """Each field is one line: cheroot keeps only the last of several."""
    before = list(headers)
    assert with_members(headers, ours) == left
    assert headers == before


_label = st.sampled_from(["sig1", "b", "wsgiproxy", "wsgiproxy2", "*"])
_tag = st.sampled_from(["", ';tag="wsgiproxy"', ';tag="x"', ";tag=wsgiproxy", "; tag"])
_inputs = st.lists(st.builds('{}=("@method"){}'.format, _label, _tag), max_size=4).map(", ".join)
_signatures = st.lists(st.builds("{}=:AAAA:{}".format, _label, _tag), max_size=4).map(", ".join)
_noise = st.text('wsgiproxy=():;, "', max_size=12)


@given(_inputs | _noise, _signatures | _noise, st.booleans())
def test_nothing_of_a_client_is_ever_ours(inputs: str, signatures: str, signing: bool) -> None:
    """Whatever it sends: what is ours afterwards is what we have put there, and it can be read."""
    headers = with_members(lines(Fields(inputs, signatures)), OURS if signing else None)
    assert len({name for name, _ in headers}) == len(headers)
    left = Fields(*(", ".join(values(headers, name)) for name in ("Signature-Input", "Signature")))
    if not signing:
        assert with_members(headers, None) == headers
        assert "wsgiproxy=" not in left.signature_input + left.signature
        return
    assert max(map(len, left)) <= LIMIT
    for text, ours in zip(left, OURS, strict=True):
        found = dictionary(text)
        assert found["wsgiproxy"].text == ours
        assert [label for label in found if is_own_member(label, found[label])] == ["wsgiproxy"]
        assert list(structured_dictionary(text)) == list(found)


@given(_inputs, _signatures)
def test_what_is_not_ours_passes_as_it_was(inputs: str, signatures: str) -> None:
    """Members of other labels and tags keep their text and their order."""
    try:
        before = [dictionary(text) if text else {} for text in (inputs, signatures)]
    except ValueError:
        return
    own = {
        label
        for members in before
        for label, member in members.items()
        if is_own_member(label, member)
    }
    after = foreign_members(Fields(inputs, signatures))
    for members, text in zip(before, after, strict=True):
        kept = [member.text for label, member in members.items() if label not in own]
        assert text == ", ".join(kept)

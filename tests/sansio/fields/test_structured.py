"""Rules about structured fields: dictionaries by the letter of RFC 8941, in linear time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracles import structured_dictionary
from tests.support.rounds import together
from wsgiproxy.sansio.fields.structured import Member, dictionary, parameters


@together
@pytest.mark.parametrize(
    ("text", "value", "rest"),
    [
        pytest.param("a", "", "", id="key-alone"),
        pytest.param("a;x", "", ";x", id="key-alone-with-parameter"),
        pytest.param("*-_.9=1", "1", "", id="key-of-all-characters"),
        pytest.param("a=1", "1", "", id="3.3.1-integer"),
        pytest.param("a=-0", "-0", "", id="3.3.1-negative-zero"),
        pytest.param("a=999999999999999", "9" * 15, "", id="3.3.1-fifteen-digits"),
        pytest.param("a=0123", "0123", "", id="3.3.1-leading-zero"),
        pytest.param("a=1.5", "1.5", "", id="3.3.2-decimal"),
        pytest.param("a=-999999999999.999", "-999999999999.999", "", id="3.3.2-twelve-and-three"),
        pytest.param('a=""', '""', "", id="3.3.3-empty-string"),
        pytest.param(r'a="b\"c\\d"', r'"b\"c\\d"', "", id="3.3.3-escapes"),
        pytest.param('a="b, c;d=(e)"', '"b, c;d=(e)"', "", id="3.3.3-separators-in-a-string"),
        pytest.param("a=b", "b", "", id="3.3.4-token"),
        pytest.param("a=*b:/!#$%&'*+-.^_`|~9Z", "*b:/!#$%&'*+-.^_`|~9Z", "", id="3.3.4-all"),
        pytest.param("a=::", "::", "", id="3.3.5-no-bytes"),
        pytest.param("a=:AAEC/+0=:", ":AAEC/+0=:", "", id="3.3.5-bytes"),
        pytest.param("a=:AA:", ":AA:", "", id="3.3.5-padding-may-be-missing"),
        pytest.param("a=?1", "?1", "", id="3.3.6-true"),
        pytest.param("a=?0", "?0", "", id="3.3.6-false"),
        pytest.param("a=()", "()", "", id="3.1.1-empty-list"),
        pytest.param("a=(   )", "(   )", "", id="3.1.1-list-of-spaces"),
        pytest.param('a=("b" c 1)', '("b" c 1)', "", id="3.1.1-list"),
        pytest.param("a=(  b   c  )", "(  b   c  )", "", id="3.1.1-spaces-in-the-list"),
        pytest.param('a=("b";x c;y="z");w', '("b";x c;y="z")', ";w", id="3.1.1-parameters-inside"),
        pytest.param("a=1;x;y=2", "1", ";x;y=2", id="3.1.2-parameters"),
        pytest.param("a=1;  x=?0", "1", ";  x=?0", id="3.1.2-spaces-before-a-name"),
        pytest.param("a=1;x=:AA==:", "1", ";x=:AA==:", id="3.1.2-bytes-as-parameter"),
        pytest.param('a=1;x=";y=2"', "1", ';x=";y=2"', id="3.1.2-separators-in-a-parameter"),
    ],
)
def test_member(text: str, value: str, rest: str) -> None:
    """Each member comes as it was written, alone or between others, spaces around it or not."""
    member = Member(text, value, rest)
    assert dictionary(text) == {member.text.split("=")[0].split(";")[0]: member}
    assert dictionary(f"  before=1,{text}\t ,\t after  ") == {
        "before": Member("before=1", "1", ""),
        **dictionary(text),
        "after": Member("after", "", ""),
    }


@together
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty-is-not-for-us"),
        pytest.param("  ", id="spaces"),
        pytest.param("\ta=1", id="tab-in-front"),
        pytest.param("a=1\t", id="tab-behind"),
        pytest.param("A=1", id="upper-case-key"),
        pytest.param("1=1", id="key-begins-with-a-digit"),
        pytest.param("-a=1", id="key-begins-with-a-hyphen"),
        pytest.param("aB=1", id="upper-case-in-a-key"),
        pytest.param("a =1", id="space-before-the-equals-sign"),
        pytest.param("a= 1", id="space-behind-it"),
        pytest.param("a=", id="no-value"),
        pytest.param("=1", id="no-key"),
        pytest.param("a=1,", id="comma-at-the-end"),
        pytest.param(",a=1", id="comma-in-front"),
        pytest.param("a=1,,b=2", id="two-commas"),
        pytest.param("a=1 b=2", id="no-comma"),
        pytest.param("a=1;b=2 c", id="no-comma-behind-parameters"),
        pytest.param("a=1,a=2", id="2-key-twice"),
        pytest.param("a=1,b,a", id="2-key-twice-with-another-between"),
        pytest.param("a=1000000000000000", id="3.3.1-sixteen-digits"),
        pytest.param("a=-", id="3.3.1-minus-alone"),
        pytest.param("a=+1", id="3.3.1-plus"),
        pytest.param("a=1.", id="3.3.2-no-digit-behind-the-point"),
        pytest.param("a=.5", id="3.3.2-no-digit-before-the-point"),
        pytest.param("a=1.2345", id="3.3.2-four-digits-behind-the-point"),
        pytest.param("a=1234567890123.1", id="3.3.2-thirteen-before-the-point"),
        pytest.param("a=1e5", id="3.3.2-exponent"),
        pytest.param('a="', id="3.3.3-string-without-end"),
        pytest.param('a="b', id="3.3.3-string-that-breaks-off"),
        pytest.param(r'a="\a"', id="3.3.3-other-escape"),
        pytest.param('a="\\"', id="3.3.3-escaped-end"),
        pytest.param('a="\xe9"', id="3.3.3-latin-1"),
        pytest.param('a="\x7f"', id="3.3.3-delete"),
        pytest.param('a="b\tc"', id="3.3.3-tab"),
        pytest.param('a="b\r\n c"', id="3.3.3-fold"),
        pytest.param("a='b'", id="3.3.3-other-quotes"),
        pytest.param("a=b(", id="3.3.4-other-character-in-a-token"),
        pytest.param("a=:AA", id="3.3.5-bytes-without-end"),
        pytest.param("a=:A A:", id="3.3.5-space-in-bytes"),
        pytest.param("a=:A-_A:", id="3.3.5-base64url"),
        pytest.param("a=:A:", id="3.3.5-six-bits-are-no-byte"),
        pytest.param("a=:AAAAA:", id="3.3.5-six-bits-too-many"),
        pytest.param("a=:=:", id="3.3.5-padding-alone"),
        pytest.param("a=:AA===:", id="3.3.5-padding-too-long"),
        pytest.param("a=:A=A=:", id="3.3.5-padding-within"),
        pytest.param("a=?", id="3.3.6-question-mark-alone"),
        pytest.param("a=?2", id="3.3.6-neither-true-nor-false"),
        pytest.param("a=?true", id="3.3.6-word"),
        pytest.param("a=@1659578233", id="RFC-9651-date"),
        pytest.param('a=%"b"', id="RFC-9651-display-string"),
        pytest.param("a=(", id="3.1.1-list-without-end"),
        pytest.param("a=(b", id="3.1.1-list-that-breaks-off"),
        pytest.param("a=(b,c)", id="3.1.1-comma-in-a-list"),
        pytest.param('a=("b""c")', id="3.1.1-no-space-between"),
        pytest.param("a=((b))", id="3.1.1-list-in-a-list"),
        pytest.param("a=(b\tc)", id="3.1.1-tab-in-a-list"),
        pytest.param("a=( ;x)", id="3.1.1-parameter-of-nothing"),
        pytest.param("(a)", id="list-of-lists"),
        pytest.param("a=1;", id="3.1.2-semicolon-at-the-end"),
        pytest.param("a=1 ;x", id="3.1.2-space-before-the-semicolon"),
        pytest.param("a=1;\tx", id="3.1.2-tab-before-a-name"),
        pytest.param("a=1;X", id="3.1.2-upper-case-name"),
        pytest.param("a=1;x=", id="3.1.2-no-value"),
        pytest.param("a=1;x=(b)", id="3.1.2-list-as-parameter"),
        pytest.param("a=1\n", id="line-end"),
        pytest.param("a=1\nb=2", id="two-lines"),
        pytest.param("\xaa=1", id="a-letter-of-latin-1"),
        pytest.param("a=\u0661", id="a-digit-of-another-script"),
    ],
)
def test_no_dictionary(text: str) -> None:
    with pytest.raises(ValueError, match=r"position|comma|twice"):
        dictionary(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", {}, id="none"),
        pytest.param(";a", {"a": ""}, id="true"),
        pytest.param(";a=1;b=c;  d=?0", {"a": "1", "b": "c", "d": "?0"}, id="bare-values"),
        pytest.param(r';a="b\";c=1"', {"a": r'"b\";c=1"'}, id="a-parameter-within-a-string"),
    ],
)
def test_parameters(text: str, found: dict[str, str]) -> None:
    assert parameters(text) == found


def test_parameters_twice() -> None:
    """RFC 8941 keeps the last of them; a signature has no use for a second opinion."""
    with pytest.raises(ValueError, match="twice"):
        parameters(";a=1;b;a=2")


def text_of(member: Any) -> str:
    """What http-sf has read, written by it again."""
    import http_sf

    return str(http_sf.ser({"k": member}))


_PIECES = [
    *("a", "b", "*", "=", ";", ",", " ", "\t", "(", ")", '"', "\\", ":", "?", "-", ".", "A", "é"),
    *("0", "12345678901234", "AA==", "AAA", ":AAAA:", '"x"', '"\\""', "?1", "a=", ";x=", ", b="),
]
_bare = (
    st.from_regex(r"-?[0-9]{1,16}(\.[0-9]{1,4})?", fullmatch=True)
    | st.from_regex(r'"([ !#-\[\]-~]|\\["\\]){0,4}"', fullmatch=True)
    | st.from_regex(r"[A-Za-z*][:/!#$%&'*+.^_`|~0-9A-Za-z-]{0,4}", fullmatch=True)
    | st.from_regex(r":[A-Za-z0-9+/]{0,6}={0,2}:", fullmatch=True)
    | st.sampled_from(["?0", "?1", "?2", "@1", '%"a"'])
)
_keys = st.sampled_from(["a", "b", "*c", "d.-_9", "E"])
_parameters = st.lists(
    st.builds("; {}={}".format, _keys, _bare) | st.builds(";{}".format, _keys), max_size=2
).map("".join)
_item = st.builds("{}{}".format, _bare, _parameters)
_list = st.lists(_item, max_size=3).map(lambda items: f"( {'  '.join(items)} )")
_member = st.builds("{}={}{}".format, _keys, _bare | _list, _parameters) | st.builds(
    "{}{}".format, _keys, _parameters
)
_dictionaries = st.lists(_member, min_size=1, max_size=3).map(" ,\t".join)


@given(_dictionaries | st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_what_we_accept_is_what_others_read(text: str) -> None:
    """A dictionary of ours is one for http-sf, with the same keys, values and parameters."""
    try:
        ours = dictionary(text)
    except ValueError:
        return
    theirs = structured_dictionary(text)
    assert list(ours) == list(theirs)
    for key, member in ours.items():
        assert text.count(member.text)
        again = structured_dictionary(f"k={member.value or '?1'}{member.parameters}")["k"]
        assert again == theirs[key]
        try:
            found = parameters(member.parameters)
        except ValueError:
            assert len(theirs[key][1]) < member.parameters.count(";")
            continue
        assert {
            name: structured_dictionary(f"k={value or '?1'}")["k"][0]
            for name, value in found.items()
        } == theirs[key][1]


@given(_dictionaries)
def test_what_others_write_is_what_we_accept(text: str) -> None:
    """In the canonical form of RFC 8941, 4.1 we read every dictionary that http-sf reads."""
    import http_sf

    try:
        theirs = structured_dictionary(text)
        canonical = http_sf.ser(theirs)
    except ValueError:
        return
    if "@" not in canonical and '%"' not in canonical:  # the types that RFC 9651 has added
        assert list(dictionary(canonical)) == list(theirs)


HOSTILE = [
    pytest.param("a=(", " ", "!", id="spaces-in-an-empty-list"),
    pytest.param("a=(b", " ", "!", id="spaces-in-a-list"),
    pytest.param("a=(", "b ", "!", id="items"),
    pytest.param("a=(", "b  ", "!", id="items-with-two-spaces"),
    pytest.param("a=(", '"b" ', "!", id="strings"),
    pytest.param("a=(b", ";x", "!", id="parameters-of-an-item"),
    pytest.param("a=(b", ";x=1", "!", id="parameters-with-values"),
    pytest.param("a=(b;", " ", "!", id="spaces-before-a-name"),
    pytest.param("a=(", "1", "!", id="digits"),
    pytest.param("a=(", ":AAAA: ", "!", id="bytes"),
    pytest.param("a=:", "A", "!", id="bytes-without-end"),
    pytest.param("a=:", "A", "=", id="bytes-without-end-but-padding"),
    pytest.param('a="', "b", "", id="string-without-end"),
    pytest.param('a="', '\\"', "", id="escapes-without-end"),
    pytest.param("a=", "b", "(", id="token"),
    pytest.param("", "a", "(", id="key"),
    pytest.param("a", ";b", "(", id="parameters"),
    pytest.param("a;", " ", "(", id="spaces-before-a-parameter"),
    pytest.param("a", " ", "!", id="spaces-before-a-comma"),
    pytest.param("a,", "\t", "!", id="tabs-behind-a-comma"),
    pytest.param("a=", "(", "", id="brackets"),
]


def seconds(text: str) -> float:
    """The best of several tries, which is what a busy machine disturbs least."""
    tries = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(5):
            with pytest.raises(ValueError, match=r"position|comma"):
                dictionary(text)
        tries.append(time.process_time() - start)
    return min(tries)


@pytest.mark.parametrize(("start", "piece", "end"), HOSTILE)
def test_hostile_text_takes_linear_time(start: str, piece: str, end: str) -> None:
    """Sixteen times the text takes not 256 times as long, as going back over it would."""
    short, long = (start + piece * (size // len(piece)) + end for size in (2048, 32768))
    assert seconds(long) < 80 * seconds(short) + 0.001

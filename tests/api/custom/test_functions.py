"""What Kubernetes adds to CEL: results, and the words of what has none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from holdfast.api.custom.expressions import Failed, Uncompilable, compiled
from holdfast.api.custom.named_formats import with_optional_values

TRUE = (
    # lists
    "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
    "[1, 2].sum() == 3 && [0.5, 0.5].sum() == 1.0 && [].sum() == 0",
    "[2, 1].min() == 1 && ['a', 'b'].max() == 'b'",
    "[1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && [1].indexOf(3) == -1",
    "dyn([1, 0]).indexOf(true) == -1 && dyn([true]).lastIndexOf(1) == -1",
    "'abc'.indexOf('c') == 2",
    "[1, 2].all(i, v, i < v) && {'a': 1}.exists(k, v, k == 'a' && v == 1)",
    # sets
    "sets.contains([1, 2], [2]) && !sets.contains([1], [1, 2])",
    "sets.intersects([1, 2], [2, 3]) && !sets.intersects([1], dyn([true]))",
    "sets.equivalent([1, 1, 2], [2, 1]) && !sets.equivalent([1], [2])",
    # regular expressions
    "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('x') == ''",
    "'12 a 34'.findAll('[0-9]+') == ['12', '34'] && '12 a 34'.findAll('[0-9]+', 1) == ['12']",
    "'12 34'.findAll('[0-9]+', -1).size() == 2 && '12'.findAll('[0-9]+', 0) == []",
    "'ab'.findAll('a|') == ['a', '']",
    # URLs
    "isURL('https://u:p@example.com:80/path?query=val#fragment') && isURL('/absolute') && isURL('mailto:x')",
    "!isURL('https://a:b:c/') && !isURL('../relative') && !isURL('') && !isURL('http://a b/')",
    "url('HTTPS://example.com:80/').getScheme() == 'https' && url('/p').getScheme() == ''",
    "url('https://[::1]:80/').getHost() == '[::1]:80' && url('https://[::1]:80/').getHostname() == '::1'",
    "url('https://[::1]/').getPort() == '' && url('https://u@h:81').getPort() == '81'",
    "url('https://h/with spaces/#f').getEscapedPath() == '/with%20spaces/'",
    "url('https://h').getEscapedPath() == ''",
    "url('https://h/p?k1=a&k2=b&k2=c#d').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}",
    "url('https://h/p?k s=v+s').getQuery() == {'k s': ['v s']} && url('https://h/p?').getQuery() == {}",
    # quantities
    "isQuantity('1.3Gi') && !isQuantity('200K') && !isQuantity(' 1') && !isQuantity('')",
    "quantity('1Gi') == quantity('1073741824') && quantity('200M').compareTo(quantity('0.2G')) == 0",
    "quantity('150Mi').isGreaterThan(quantity('100Mi')) && quantity('50M').isLessThan(quantity('50Mi'))",
    "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')",
    "quantity('50k').isInteger() && quantity('50k').asInteger() == 50000 && !quantity('1500m').isInteger()",
    "!quantity('9999999999999999999999999999999999999G').isInteger()",
    "quantity('1.5').asApproximateFloat() == 1.5 && quantity('-1').sign() == -1 && sign(quantity('0')) == 0",
    # semantic versions
    "isSemver('1.0.0') && isSemver('0.1.0-alpha.1+b.2') && !isSemver('v1.0.0') && !isSemver('01.1.1')",
    "isSemver('v1.0', true) && isSemver('01.01.01', true) && !isSemver('1.0-a', true)",
    "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
    "semver('v1', true) == semver('1.0.0') && semver('1.0.0+a') == semver('1.0.0+b')",
    "semver('1.0.0-alpha').isLessThan(semver('1.0.0')) && semver('1.0.0-2').isLessThan(semver('1.0.0-10'))",
    "semver('1.0.0-a').isGreaterThan(semver('1.0.0-1')) && semver('1.0.0-a.1').isGreaterThan(semver('1.0.0-a'))",
    "semver('1.2.3').compareTo(semver('2.0.0')) == -1 && semver('1.2.3').compareTo(semver('1.2.3')) == 0",
    # addresses
    "isIP('127.0.0.1') && isIP('::1') && isIP('2001:db8::') && isIP('1:2:3:4:5:6:7:8')",
    "!isIP('127.0.0.256') && !isIP(':::1')",
    "!isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0') && !isIP('1.2.3.04')",
    "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
    "ip('::1').family() == 6 && ip('10.0.0.1').family() == 4 && string(ip('2001:DB8::1')) == '2001:db8::1'",
    "ip('::').isUnspecified() && ip('127.9.9.9').isLoopback() && !ip('10.0.0.1').isLoopback()",
    "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()",
    "ip('ff02::1').isLinkLocalMulticast() && !ip('fd00::1').isLinkLocalMulticast()",
    "ip('169.254.1.1').isLinkLocalUnicast()",
    "ip('fe80::1').isLinkLocalUnicast() && !ip('fd80::1').isLinkLocalUnicast()",
    "ip('192.168.0.1').isGlobalUnicast()",
    "!ip('255.255.255.255').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()",
    "isCIDR('192.168.0.0/16') && isCIDR('::1/128')",
    "!isCIDR('1.2.3.4/33') && !isCIDR('1.2.3.4/08') && !isCIDR('::1')",
    "cidr('10.0.0.0/8').containsIP(ip('10.1.1.1')) && !cidr('10.0.0.0/8').containsIP('11.0.0.0')",
    "cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) && !cidr('10.1.0.0/16').containsCIDR('10.0.0.0/8')",
    "!cidr('10.0.0.0/8').containsIP('::1') && !cidr('10.0.0.0/8').containsCIDR('::/64')",
    "cidr('192.168.0.1/24').ip() == ip('192.168.0.1') && cidr('::1/64').prefixLength() == 64",
    "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('10.0.0.1/8') != cidr('10.0.0.0/8')",
    "string(cidr('10.0.0.1/8')) == '10.0.0.1/8' && string(1) == '1'",
    # formats
    "!format.dns1123Label().validate('my-label').hasValue() && format.dns1123Label().validate('A').hasValue()",
    "format.dns1123LabelPrefix().validate('my-label-') == optional.none()",
    "format.dns1123Subdomain().validate('a..b').value()[0].startsWith('a lowercase RFC 1123 subdomain must')",
    "format.dns1035Label().validate('1a').value().size() == 1 && !format.labelValue().validate('').hasValue()",
    "format.qualifiedName().validate('a/b/c').hasValue() && !format.dns1035LabelPrefix().validate('a-').hasValue()",
    "!format.dns1123SubdomainPrefix().validate('my.prefix-').hasValue()",
    "format.uri().validate('x') == optional.of(['parse \"x\": invalid URI for request'])",
    "format.uuid().validate('x').value() == ['does not match the UUID format']",
    "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
    "format.byte().validate('!').value() == ['invalid base64'] && !format.byte().validate('aGVsbG8=').hasValue()",
    "format.date().validate('2021-13-01').orValue(['']) == ['invalid date']",
    "format.datetime().validate('x').orValue(['']) == ['invalid datetime']",
    "format.named('dns1123Label').value().validate('a.b').hasValue() && !format.named('none').hasValue()",
    "format.named('dns1123Label') == optional.of(format.dns1123Label())",
    "['a', 'B'].filter(n, format.dns1123Label().validate(n).hasValue()) == ['B']",
)


@pytest.mark.parametrize("expression", TRUE)
def test_a212_what_functions_make_of_values(expression: str) -> None:
    assert compiled(expression)({}) is True


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[].min()", "min called on empty list"),
        ("[].max()", "max called on empty list"),
        ("dyn([1, 'a']).isSorted()", "no such overload"),
        ("dyn(['a']).sum() + 1", "no such overload"),
        ("url('../x')", 'URL parse error during conversion from string: parse "../x": invalid URI for request'),
        ("url('')", 'URL parse error during conversion from string: parse "": empty url'),
        ("url('https://a:b:c/')",
         'URL parse error during conversion from string: parse "https://a:b:c/": invalid port ":c" after host'),
        ("url('http://a b/')",
         'URL parse error during conversion from string: parse "http://a b/": invalid character " " in host name'),
        ("url('/%zz')", 'URL parse error during conversion from string: parse "/%zz": invalid URL escape "%zz"'),
        ("url(':x')", 'URL parse error during conversion from string: parse ":x": missing protocol scheme'),
        ("url('http://[::1')",
         'URL parse error during conversion from string: parse "http://[::1": missing \']\' in host'),
        ("'a'.find('[')", "Illegal regex: error parsing regexp: missing closing ]: `[`"),
        ("'a'.find('a**')", "Illegal regex: error parsing regexp: invalid nested repetition operator: `**`"),
        ("'a'.findAll('a\\\\')", "Illegal regex: error parsing regexp: trailing backslash at end of expression: ``"),
        ("'a'.findAll(r'\\y', 1)", "Illegal regex: error parsing regexp: invalid escape sequence: `\\y`"),
        ("quantity('Three')",
         "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("quantity('1500m').asInteger()", "cannot convert value to integer"),
        ("quantity('1').isLessThan(semver('1.0.0'))", "no such overload"),
        ("semver('')", "Version string empty"),
        ("semver('1.0')", "No Major.Minor.Patch elements found"),
        ("semver('a.0.0')", 'Invalid character(s) found in major number "a"'),
        ("semver('1.01.0')", 'Minor number must not contain leading zeroes "01"'),
        ("semver('1.0.')", 'strconv.ParseUint: parsing "": invalid syntax'),
        ("semver('99999999999999999999.0.0')",
         'strconv.ParseUint: parsing "99999999999999999999": value out of range'),
        ("semver('1.0.0-')", "Prerelease is empty"),
        ("semver('1.0.0-01')", 'Numeric PreRelease version must not contain leading zeroes "01"'),
        ("semver('1.0.0+')", "Build meta data is empty"),
        ("semver('1.0-a', true)", "short version cannot contain PreRelease/Build meta data"),
        ("ip('127.0.0.256')",
         'IP Address "127.0.0.256" parse error during conversion from string: '
         'ParseAddr("127.0.0.256"): IPv4 field has value >255'),
        ("ip('1.2.3')",
         'IP Address "1.2.3" parse error during conversion from string: ParseAddr("1.2.3"): IPv4 address too short'),
        ("ip('1.2.x.3')",
         'IP Address "1.2.x.3" parse error during conversion from string: '
         'ParseAddr("1.2.x.3"): unexpected character (at "x.3")'),
        ("ip('x')", 'IP Address "x" parse error during conversion from string: ParseAddr("x"): unable to parse IP'),
        ("ip('1::2::3')",
         'IP Address "1::2::3" parse error during conversion from string: '
         'ParseAddr("1::2::3"): multiple :: in address (at ":3")'),
        ("ip('1:2')",
         'IP Address "1:2" parse error during conversion from string: ParseAddr("1:2"): address string too short'),
        ("ip('fe80::1%eth0')", 'IP address "fe80::1%eth0" with zone value is not allowed'),
        ("ip('::ffff:1.2.3.4')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
        ("cidr('10.0.0.0')",
         "network address parse error during conversion from string: "
         'network address parse error during conversion from string: netip.ParsePrefix("10.0.0.0"): no \'/\''),
        ("cidr('10.0.0.0/33')",
         "network address parse error during conversion from string: "
         'network address parse error during conversion from string: netip.ParsePrefix("10.0.0.0/33"): '
         "prefix length out of range"),
        ("cidr('10.0.0.0/x')",
         "network address parse error during conversion from string: "
         'network address parse error during conversion from string: netip.ParsePrefix("10.0.0.0/x"): '
         'bad bits after slash: "x"'),
    ],
)  # fmt: skip
def test_a212_what_functions_say_of_what_they_cannot_take(expression: str, said: str) -> None:
    with pytest.raises(Failed) as failed:
        compiled(expression)({})
    assert str(failed.value) == said


@pytest.mark.parametrize(
    ("written", "evaluated"),
    [
        ("a.validate(f(x), ')').hasValue()", "a.validate(f(x), ')').?errors.hasValue()"),
        ("a.validate(b.validate(c))", "a.validate(b.validate(c).?errors).?errors"),
        ("format.named(x)", "format.named(x).?format"),
        ("object.named == 'validate(' && a.named(x)", "object.named == 'validate(' && a.named(x)"),
        ("validate(x)", "validate(x)"),
    ],
)
def test_a212_calls_of_functions_with_optional_results_are_told_from_other_things(written: str, evaluated: str) -> None:
    assert with_optional_values(written) == evaluated


@pytest.mark.parametrize(
    "expression",
    [
        "optional.of(1)",
        "[optional.of(1)]",
        "dyn([1, {'a': optional.none()}])",
        "{'a': optional.of(optional.of(1))}",
        "format.named('uri')",
    ],
)
def test_optional_values_are_no_results_and_end_nothing(expression: str) -> None:
    """The library ends the process when it is asked for the last but one."""
    with pytest.raises(Failed, match="an optional value is no result"):
        compiled(expression)({})


@pytest.mark.parametrize("expression", ["[1].indexOf(dyn(optional.of(1)))", "[1].lastIndexOf(dyn(optional.none()))"])
def test_optional_values_are_not_looked_for(expression: str) -> None:
    """The library would end the process."""
    with pytest.raises(Failed, match="no such overload"):
        compiled(expression)({})


def test_a212_results_are_made_of_what_python_has() -> None:
    value = compiled("{'a': [1, null, 1.5, 'x', true], 'b': {'c': duration('1s')}, 'd': ip('::1')}")({})
    assert value == {"a": [1, None, 1.5, "x", True], "b": {"c": timedelta(seconds=1)}, "d": {"ip": "::1"}}


def test_a212_what_does_not_parse_is_shown_as_it_was_written() -> None:
    with pytest.raises(Uncompilable) as error:
        compiled("format.uri().validate('x').hasValue() &&")
    assert " | format.uri().validate('x').hasValue() &&\n" in str(error.value)

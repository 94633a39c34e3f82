"""XDR, attributes and mount options as they are on the wire and in manifests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.nfs import attributes, operations
from holdfast.nfs.attributes import NOBODY, NOW, Wanted
from holdfast.nfs.errors import NfsError
from holdfast.nfs.mount import Source
from holdfast.nfs.options import BadOption, parse
from holdfast.nfs.xdr import Garbled, Reader, bitmap, opaque, u32, u64
from holdfast.world import linux


@given(st.binary(max_size=70))
def test_opaque_bytes_come_back_and_end_on_four_bytes(data):
    encoded = opaque(data)
    assert len(encoded) % 4 == 0
    reader = Reader(encoded + u32(7))
    assert (reader.opaque(), reader.u32()) == (data, 7)


@given(st.sets(st.integers(0, 95)))
def test_a_bitmap_comes_back(bits):
    assert Reader(bitmap(bits)).bitmap() == sorted(bits)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_below_zero_come_back(number):
    assert Reader(u64(number)).i64() == number


@pytest.mark.parametrize(
    ("take", "data"),
    [
        (Reader.u32, b"\0\0"),
        (Reader.u64, u32(1)),
        (Reader.opaque, u32(9) + b"four"),
        (Reader.opaque, b""),
        (Reader.bitmap, u32(2) + u32(1)),
    ],
)
def test_what_is_cut_short_is_garbled(take, data):
    with pytest.raises(Garbled):
        take(Reader(data))


def test_attributes_are_read_by_their_bits():
    values = u32(attributes.REGULAR) + u64(5) + u64(12) + u32(0o640) + opaque("1000") + opaque("nobody@nowhere.example")
    values += u64(1) + u32(500)
    bits = (
        attributes.TYPE,
        attributes.CHANGE,
        attributes.SIZE,
        attributes.MODE,
        attributes.OWNER,
        attributes.GROUP,
        attributes.MODIFIED,
    )
    found = attributes.read(Reader(bitmap(bits) + opaque(values)))
    assert (found.type, found.change, found.size, found.mode) == (attributes.REGULAR, 5, 12, 0o640)
    assert (found.uid, found.gid, found.modified_ns) == (1000, NOBODY, 1_000_000_500)


def test_an_attribute_nobody_asked_for_is_garbled():
    with pytest.raises(Garbled):
        attributes.read(Reader(bitmap([2]) + opaque(u32(0))))


@pytest.mark.parametrize(
    ("owner", "number"), [("0", 0), ("1234@any.domain", 1234), ("root@domain", 0), ("nobody?", NOBODY)]
)
def test_owners_by_number_or_by_a_name_this_machine_knows(owner, number):
    assert attributes.number_of(owner, is_group=False) == number


def test_what_is_set_stands_in_the_order_of_the_bits():
    encoded = Wanted(modified_ns=NOW, mode=0o600, size=3).encode()
    reader = Reader(encoded)
    assert reader.bitmap() == [attributes.SIZE, attributes.MODE, attributes.SET_MODIFIED]
    assert reader.opaque() == u64(3) + u32(0o600) + u32(0)


def test_a_time_before_1970_is_a_second_below_zero_and_a_rest_above():
    reader = Reader(Wanted(accessed_ns=-1).encode())
    reader.bitmap()
    values = Reader(reader.opaque())
    assert (values.u32(), values.i64(), values.u32()) == (1, -1, 999_999_999)


def test_a_directory_is_read_entry_by_entry():
    entry = u32(1) + u64(77) + opaque("name") + bitmap([attributes.TYPE, attributes.FILEID])
    entry += opaque(u32(attributes.DIRECTORY) + u64(5))
    verifier, entries, is_end = operations.read_directory(0, bytes(8), 4096).parse(
        Reader(b"verifier" + entry + u32(0) + u32(1))
    )
    assert (verifier, is_end) == (b"verifier", True)
    assert entries == [operations.Entry(77, "name", 5, attributes.DIRECTORY)]


@pytest.mark.parametrize(
    ("status", "number"),
    [(2, 2), (13, 13), (63, 36), (66, 39), (69, 122), (70, 116), (10001, 116), (10004, 95), (99999, 5)],
)
def test_errors_are_this_systems(status, number):
    assert NfsError(status).errno == number


@pytest.mark.parametrize(
    ("text", "server", "path"),
    [("10.0.0.1:/a/b", "10.0.0.1", "/a/b"), ("[fd00::1]:/a", "fd00::1", "/a"), ("name:/a:/b", "name", "/a:/b")],
)
def test_a_source_is_a_server_and_a_path(text, server, path):
    assert (Source(text).server, Source(text).path) == (server, path)


def test_v90_options_of_the_manual_page():
    options = parse(["port=2050", "rsize=65536"])
    assert (options.port, options.most_read_bytes, options.fails_after_s) == (2050, 65536, None)
    options = parse(["soft", "timeo=50", "retrans=1", "nolock", "vers=4.2", "noexec", "noresvport"])
    assert options.fails_after_s == 10
    assert options.flags == linux.MS_NOEXEC
    assert not options.is_privileged


@pytest.mark.parametrize("option", ["frobnicate", "port=x", "port=-1", "rsize=12", "timeo=0"])
def test_v90_an_option_that_cannot_be_is_told_in_the_helpers_words(option):
    with pytest.raises(BadOption, match="an incorrect mount option was specified"):
        parse([option])


@pytest.mark.parametrize("option", ["vers=3", "nfsvers=4.0", "proto=udp", "minorversion=0"])
def test_v92_a_version_or_transport_that_is_not_spoken_is_named(option):
    with pytest.raises(BadOption, match="requested NFS version or transport protocol is not supported"):
        parse([option])

"""What an attacker inside tries against the gate, each beside the same thing without the trick."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.egress.sites import HELD, PLACEHOLDER, SECRET, allow, drained, reply, upto
from tests.core.egress.test_tunnels import ask, client_hello

from blastwall.egress import socks
from blastwall.egress.hello import NoHello, read
from blastwall.egress.proxy import Limits
from blastwall.egress.streams import Closed, Front
from blastwall.values import Destination

QUICK = Limits(head_s=0.5)


def refused(gate, site, said):
    """Say whether nothing reached the site, and the audit knows of it."""
    return site.connections == 0 and len(gate.refused) >= 1 and b"200 OK" not in said


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "api.test.evil",
        "evilapi.test",
        "api.test.",
        "api.test%00.evil.test",
        "api.test\0.evil.test",
        "evil.test\0.api.test",
        "api.test\r\nX: y",
        "api.test evil.test",
        "api.test\t",
        "ａpi.test",
        "api。test",
        "a" * 300 + ".test",
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "localhost",
        "user:api.test@evil.test",
        "api.test#@evil.test",
        "api.test\\@evil.test",
    ],
)
@pytest.mark.parametrize("how", ["absolute", "connect", "socks", "host"])
def test_hosts_in_disguise(inside, site, host, how):
    """79-83: whatever the spelling, only the allowed host is reached."""
    gate = inside(allow("api.test", site), limits=QUICK)
    raw, port = host.encode("utf-8"), str(site.port).encode()
    match how:
        case "absolute":
            said = gate.say(
                b"GET http://" + raw + b":" + port + b"/ HTTP/1.1\r\nHost: " + raw + b":" + port + b"\r\n\r\n"
            )
        case "connect":
            said = gate.say(
                b"CONNECT " + raw + b":" + port + b" HTTP/1.1\r\nHost: " + raw + b":" + port + b"\r\n\r\n"
            )
        case "host":
            if host in ("api.test\t", "api.test\r\nX: y"):
                return  # white space around a header's value means nothing, and the rest is another header
            said = gate.say(
                b"GET http://api.test:" + port + b"/ HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n", end=True
            )
        case _:
            name = raw[:255]
            said = gate.say(b"\5\1\0\5\1\0\3" + bytes([len(name)]) + name + site.port.to_bytes(2))
    assert refused(gate, site, said)


def test_the_control_of_disguises(inside, site):
    gate = inside(allow("api.test", site))
    assert b"200 OK" in gate.get(f"http://API.test:{site.port}/")
    with gate.tunnel("Api.Test", site.port, "socks") as raw:
        assert ask(raw, "api.TEST")[0].startswith(b"HTTP/1.1 200")
    assert gate.refused == []


def test_a_port_that_is_not_allowed(inside, site, other_site):
    """84."""
    gate = inside(allow("api.test", site))
    assert b"403" in gate.get(f"http://api.test:{other_site.port}/")
    assert gate.tunnel("api.test", other_site.port) is None
    assert other_site.connections == 0


def test_an_empty_list(inside, site):
    """85: CVE-2025-66479."""
    gate = inside()
    assert b"allows no destination" in gate.get(f"http://127.0.0.1:{site.port}/")
    assert gate.tunnel("127.0.0.1", site.port) is None
    assert gate.tunnel("127.0.0.1", site.port, "socks") is None
    assert site.connections == 0


@pytest.mark.parametrize(
    "hosts", [["evil.test"], ["api.test", "evil.test"], ["evil.test", "api.test"], [], [""], ["api.test:1"]]
)
def test_a_host_header_that_differs(inside, site, hosts):
    """86 and 89: also none, two, and one with another port."""
    gate = inside(allow("api.test", site), allow("evil.test", site))
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    said = gate.say(f"GET http://api.test:{site.port}/ HTTP/1.1\r\n{lines}\r\n".encode())
    assert said.startswith(b"HTTP/1.1 400")
    assert refused(gate, site, said)
    assert site.asked == []


def test_the_host_of_a_connect_differs(inside, site):
    gate = inside(allow("api.test", site))
    said = gate.say(f"CONNECT api.test:{site.port} HTTP/1.1\r\nHost: evil.test\r\n\r\n".encode())
    assert refused(gate, site, said)


@pytest.mark.parametrize("inspected", [False, True])
def test_the_second_request_on_a_connection(inside, site, secure_site, inspected):
    """88: a first request that is allowed buys nothing for the second."""
    if inspected:
        gate = inside(allow("api.test", secure_site, paths=("/**",)), allow("other.test", secure_site))
        stream = gate.context.wrap_socket(
            gate.tunnel("api.test", secure_site.port), server_hostname="api.test"
        )
    else:
        gate = inside(allow("api.test", site), allow("other.test", site))
        stream = gate.tunnel("api.test", site.port)
    with stream:
        assert ask(stream, "api.test")[0].startswith(b"HTTP/1.1 200")
        assert ask(stream, "other.test")[0].startswith(b"HTTP/1.1 400")
        assert drained(stream) == b""
    assert len((secure_site if inspected else site).asked) == 1


def test_the_second_request_of_a_proxy_s_own_connection(inside, site, other_site):
    gate = inside(allow("api.test", site), allow("b.test", other_site))
    with gate.connect() as sock:
        for host, port, status in (
            ("api.test", site.port, 200),
            ("b.test", other_site.port, 200),
            ("c.test", site.port, 403),
        ):
            sock.sendall(f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert upto(sock, b"\r\n").startswith(b"HTTP/1.1 %d" % status)
            upto(sock, b"}" if status == 200 else b".\n")
    assert (len(site.asked), len(other_site.asked)) == (1, 1)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        " folded: x",
        "X\0Y: z",
        "X: a\0b",
        "X: a\rb",
    ],
)
def test_smuggling(inside, site, framing):
    """89: a request whose end can be read in two ways is none."""
    gate = inside(allow("api.test", site), limits=QUICK)
    place = f"api.test:{site.port}"
    said = gate.say(
        f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\n{framing}\r\n\r\n0\r\n\r\nGET http://evil.test/ HTTP/1.1\r\n\r\n".encode()
    )
    assert refused(gate, site, said)


def test_a_smuggled_request_is_judged_like_any(inside, site):
    gate = inside(allow("api.test", site, paths=("/open",)))
    place = f"api.test:{site.port}"
    hidden = f"GET http://{place}/closed HTTP/1.1\r\nHost: {place}\r\n\r\n"
    said = gate.say(
        f"POST http://{place}/open HTTP/1.1\r\nHost: {place}\r\nContent-Length: 0\r\n\r\n{hidden}".encode()
    )
    assert said.count(b"HTTP/1.1 200") == 1
    assert b"the path is not allowed" in said
    assert [asked.path for asked in site.asked] == ["/open"]


def test_a_redirect_is_a_new_request(inside, site):
    """90: the gate follows none, and judges what the client then asks for."""
    site.answer = lambda handler, asked: reply(handler, b"", 302, [("Location", "http://evil.test/")])
    gate = inside(allow("api.test", site))
    assert b"302" in gate.get(f"http://api.test:{site.port}/")
    assert b"403" in gate.get("http://evil.test/")
    assert [d.host for d in gate.allowed] == ["api.test"]


@pytest.mark.parametrize(
    "first", ["CONNECT evil.test:443 HTTP/1.1", "GET http://evil.test/ HTTP/1.1", "GET //evil.test/ HTTP/1.1"]
)
def test_a_tunnel_in_a_tunnel(inside, site, first):
    """93: an allowed host can't be used as a relay by asking it, or the gate, once more."""
    gate = inside(allow("api.test", site, paths=("/**",)))
    with gate.tunnel("api.test", site.port) as raw:
        raw.sendall(f"{first}\r\nHost: api.test\r\n\r\n".encode())
        assert b"200 OK" not in drained(raw)
    assert site.asked == []


def test_other_upgrades(inside, site):
    """96: h2c is not passed on, and HTTP/2 is not spoken."""
    gate = inside(allow("api.test", site))
    said = gate.get(
        f"http://api.test:{site.port}/",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAAA",
    )
    assert b"200 OK" in said
    assert site.asked[0].header("upgrade") == []
    said = gate.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", end=True)
    assert b"200 OK" not in said
    assert len(gate.refused) == 1


def test_a_placeholder_of_another_session(inside, site):
    """97: it is worth nothing here."""
    gate = inside(allow("api.test", site), held=[HELD])
    gate.get(f"http://api.test:{site.port}/", f"Authorization: {PLACEHOLDER[:-4]}beef")
    assert SECRET not in repr(site.asked)


def test_data_in_header_names_and_queries_counts(inside, site):
    """98: an allowed host is a way out, of a known width."""
    gate = inside(allow("api.test", site, upload_kb=2))
    sent = [b"200 OK" in gate.get(f"http://api.test:{site.port}/?{'x' * 700}") for _ in range(5)]
    assert sent == [True, True, False, False, False]


def test_a_websocket_to_a_path_that_is_not_allowed(inside, site):
    gate = inside(allow("api.test", site, paths=("/open",)))
    with gate.tunnel("api.test", site.port) as raw:
        head, _ = ask(raw, "api.test", "/ws", "Upgrade: websocket", "Connection: Upgrade")
        assert head.startswith(b"HTTP/1.1 403")
    assert site.asked == []


# --- Garbage ---

PIECES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"GET ",
            b"CONNECT ",
            b"http://api.test",
            b"api.test:443",
            b" HTTP/1.1\r\n",
            b"Host: api.test\r\n",
            b"\r\n",
            b"\5\1\0",
            b"\5\1\0\3\x08api.test\1\xbb",
            b"Transfer-Encoding: chunked\r\n",
            b"0\r\n\r\n",
            b"\x16\x03\x01\x02\0\1\0",
        ]
    ),
)


def test_garbage_reaches_nobody_and_breaks_nothing(inside):
    gate = inside(Destination("no.test"), limits=Limits(head_s=0.05))

    @settings(max_examples=80)
    @given(st.lists(PIECES, max_size=8))
    def try_it(pieces):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as sock:
            sock.sendall(b"".join(pieces))
            sock.shutdown(socket.SHUT_WR)
            drained(sock)
        assert gate.allowed == []

    try_it()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_handshakes(data):
    try:
        read(data)
    except NoHello:
        pass


@given(st.integers(0, 600), st.integers(0, 255))
def test_no_change_breaks_the_reader_of_handshakes(at, code):
    data = bytearray(HELLO)
    data[at % len(data)] = code
    try:
        seen = read(bytes(data))
    except NoHello:
        return
    assert seen is None or seen.name is None or seen.name.isascii()


HELLO = client_hello("api.test")


@given(st.integers(1, 100))
def test_a_handshake_in_pieces(size):
    assert read(HELLO).name == "api.test"
    assert read(HELLO[:-1]) is None
    body = HELLO[5:]
    cut = b"".join(
        b"\x16\x03\x01" + len(body[i : i + size]).to_bytes(2) + body[i : i + size]
        for i in range(0, len(body), size)
    )
    assert read(cut).name == "api.test"


@pytest.mark.parametrize(
    "data",
    [
        b"GET /",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\0\4\1\xff\xff\xff",
        b"\x16\x03\x01\0\4\2\0\0\1",
        b"\x16\x02",
    ],
)
def test_what_is_no_handshake(data):
    with pytest.raises(NoHello):
        read(data)


def test_two_names_in_a_handshake():
    at = HELLO.index(b"api.test") - 9
    two = HELLO[: at + 4] + b"\0\1" + HELLO[at + 6 :]
    with pytest.raises(NoHello):
        read(two)


class Said:
    """A stream that says these bytes."""

    def __init__(self, data):
        self.data = data

    async def receive(self):
        data, self.data = self.data, b""
        return data

    async def send(self, data):
        pass


@given(st.binary(max_size=64))
async def test_no_bytes_break_the_reader_of_socks(data):
    try:
        asked = await socks.asked(Front(Said(b"\5" + data)))
    except Closed:
        return
    assert asked.reason or (asked.host.isascii() and asked.port)

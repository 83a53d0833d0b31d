"""Where reports may go: to a Sentry of one's own, and nowhere else."""

from __future__ import annotations

import pytest

from wideevents.errors import ConfigurationError
from wideevents.sinks.sentry.addresses import Address


def refusal(dsn: object, **options: object) -> str:
    """Return the sentence that a DSN is refused with."""
    with pytest.raises(ConfigurationError) as refused:
        Address.of(dsn, **options)  # type: ignore[arg-type]
    return str(refused.value)


class TestHosted:
    @pytest.mark.parametrize(
        "host",
        [
            "sentry.io",
            "o1.ingest.sentry.io",
            "de.sentry.io",
            "SENTRY.IO",
            "sentry.io.",
            "O1.Ingest.Sentry.Io.",
            "sentry.io:443",
            "sentry.io:9000",
            "sentry.io.:443",
            "app.glitchtip.com",
            "glitchtip.com",
            "acme.bugsink.com",
            "someone@sentry.io",
            "127.0.0.1@sentry.io",
        ],
    )
    @pytest.mark.parametrize("scheme", ["https", "http"])
    def test_a_hosted_service_is_refused(self, scheme: str, host: str) -> None:
        """Whatever it is written like."""
        assert "is a hosted service" in refusal(f"{scheme}://key@{host}/1")

    @pytest.mark.parametrize(
        "host",
        [
            "ｓｅｎｔｒｙ.io",
            "sentry。io",
            "sentry.ıo",
            "sentry%2eio",
            "sentry..io",
            "sentry.io..",
            "sentry\\.io",
            "sen\ttry.io",
        ],
    )
    def test_a_host_that_may_be_read_as_another_is_refused(self, host: str) -> None:
        """A resolver may make of it what it likes, so nobody asks one."""
        assert "must be a DSN" in refusal(f"https://key@{host}/1")

    @pytest.mark.parametrize("host", ["notsentry.io", "sentry.io.example.org", "sentry.example.org", "bugsink.com.lan"])
    def test_a_name_that_only_looks_like_it_is_ones_own(self, host: str) -> None:
        """A name ends in the domain it belongs to."""
        assert Address.of(f"https://key@{host}/1").host == host

    def test_the_sentence_says_what_to_do(self) -> None:
        """Whoever means it can say so; the key is not repeated."""
        said = refusal("https://verysecretkey@o1.ingest.sentry.io/1")

        assert said == (
            "sentry cannot be used: o1.ingest.sentry.io is a hosted service, and reports of errors hold what is nobody "
            "else's business: run one yourselves. SentrySink(dsn, allow_hosted=True) sends reports there all the same."
        )

    def test_a_dsn_of_the_environment_may_be_meant_for_somebody_else(self) -> None:
        """The application's own SDK reads the same variable."""
        said = refusal("https://key@sentry.io/1", setting="SENTRY_DSN")

        assert said.startswith("SENTRY_DSN cannot be used: sentry.io is a hosted service")
        assert said.endswith("configure(sentry=False) leaves it to that.")

    @pytest.mark.parametrize("dsn", ["https://key@sentry.io/1", "http://key@sentry.example.org/1"])
    def test_the_way_out(self, dsn: str) -> None:
        """It is a decision that stands in the code."""
        assert Address.of(dsn, allow_hosted=True).host in {"sentry.io", "sentry.example.org"}


class TestPlainHttp:
    @pytest.mark.parametrize(
        "host",
        [
            "sentry.example.org",
            "sentry.example.org.",
            "local.example.org",
            "internal.com",
            "8.8.8.8",
            "[2001:4860:4860::8888]",
            "[::ffff:8.8.8.8]",
            "134744072",
            "0x08080808",
            "8.8.2056",
            "010.010.010.010",
            "224.0.0.1",
        ],
    )
    def test_a_public_host_is_refused(self, host: str) -> None:
        """Everybody on the way could read the reports."""
        assert "is public, and plain http" in refusal(f"http://key@{host}/1")

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "sentry",
            "sentry.",
            "bugsink:8000",
            "10.1.2.3:9000",
            "172.16.0.1",
            "192.168.7.7",
            "100.64.1.1",
            "169.254.1.1",
            "[::1]:9000",
            "[fd00::7]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "127.1",
            "2130706433",
            "sentry.prod.internal",
            "sentry.local",
            "sentry.lan",
            "SENTRY.LAN.",
            "sentry.localhost",
        ],
    )
    def test_a_private_host_is_fine(self, host: str) -> None:
        """It is in the team's own network."""
        assert not Address.of(f"http://key@{host}/1").secure

    def test_https_to_a_public_host_is_fine(self) -> None:
        """A Sentry of one's own may stand anywhere."""
        address = Address.of("https://key@sentry.example.org/1")

        assert (address.secure, address.port, str(address)) == (True, 443, "https://sentry.example.org:443")


class TestAddresses:
    def test_what_is_connected_to_is_what_was_judged(self) -> None:
        """Without a trailing dot, in lower case, with the path that a proxy in front may want."""
        address = Address.of("http://key@Sentry.Internal.:9000/behind/proxy/42")

        assert (address.host, address.port, address.path) == ("sentry.internal", 9000, "/behind/proxy/api/42/envelope/")

    def test_the_key_is_shown_to_nobody(self) -> None:
        """It stands in a header, and neither in the text of the address nor in its repr."""
        address = Address.of("http://verysecretkey@[::1]:9000/1")

        assert "sentry_key=verysecretkey" in address.authorization
        assert "verysecretkey" not in f"{address!r} {address}"
        assert str(address) == "http://[::1]:9000"

    @pytest.mark.parametrize(
        "dsn",
        [
            5,
            b"http://key@localhost/1",
            "",
            "localhost",
            "ftp://key@localhost/1",
            "http://localhost/1",
            "http://key@/1",
            "http://key@localhost/",
            "http://key@localhost/project",
            "http://key@localhost:port/1",
            "http://key@localhost:99999/1",
            "http://key@local host/1",
            "http://key@local\nhost/1",
            "http://key@127.0.0.256/1",
            "http://key@1.2.3.4.5/1",
            "http://key@[::1/1",
            f"http://key@{'a' * 64}.lan/1",
            "http://kéy@localhost/1",
        ],
    )
    def test_what_is_no_dsn_is_refused(self, dsn: object) -> None:
        """Where it is given, and not when the first error comes."""
        assert "must be a DSN, as http://key@sentry.internal:9000/1" in refusal(dsn)

    def test_a_key_is_not_repeated_in_the_refusal(self) -> None:
        """A refusal may stand in a log."""
        assert refusal("http://verysecretkey@localhost/project") == (
            "sentry='http://[redacted]@localhost/project' cannot be used: it must be a DSN, as "
            "http://key@sentry.internal:9000/1."
        )

"""The spec's `[source]` section: how events are read. It changes no window."""

from dataclasses import dataclass

from schemas.spec.table import Table

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class Kafka:
    """How clients prove who they are; the names are Kafka's own. Secrets are never in a spec."""

    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True


@dataclass(frozen=True)
class Source:
    """`ordered` files are in order of time; `kafka` is for `--source kafka://…`."""

    ordered: bool = False
    kafka: Kafka = Kafka()


def parse_source(table: Table) -> Source:
    """Check `[source]`. Raises SpecError."""
    source = Source(table.flag("ordered", False), _kafka(table.table("kafka", {})))
    table.finish()
    return source


def _kafka(table: Table) -> Kafka:
    kafka = Kafka(
        security_protocol=table.choice("security_protocol", SECURITY_PROTOCOLS, "PLAINTEXT"),
        sasl_mechanism=_mechanism(table),
        ssl_cafile=table.optional_text("ssl_cafile"),
        ssl_certfile=table.optional_text("ssl_certfile"),
        ssl_keyfile=table.optional_text("ssl_keyfile"),
        ssl_check_hostname=table.flag("ssl_check_hostname", True),
    )
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_mechanism is None:
        raise table.missing("sasl_mechanism", f"one of {', '.join(SASL_MECHANISMS)}")
    table.finish()
    return kafka


def _mechanism(table: Table) -> str | None:
    named = table.optional_text("sasl_mechanism")
    return None if named is None else table.choice("sasl_mechanism", SASL_MECHANISMS)

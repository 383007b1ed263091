"""A cluster that asks for a password over TLS: who is let in, who is not, and what is said."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.kafka import Broker
from infra.processes import HOST, free_port
from pipelines.publish.messages import Encoder
from pipelines.publish.pace import Pace
from pipelines.publish.publisher import Publisher
from pipelines.sources.kafka.security import KEY_PASSWORD, PASSWORD, USERNAME, security_of
from pipelines.sources.kafka.source import KafkaSource
from schemas.errors import UserError
from schemas.spec import Kafka, Source, Spec
from tests.kafka_server import skipped_without_kafka
from tests.kafka_topics import create_topics, with_own_topics
from tests.validate.shop import SHOP

SECRET = "s3cret-word"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this host's own, as a file to trust, and one with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "millstream test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "ca.pem").write_bytes(public)
    (folder / "server.pem").write_bytes(private + public)
    return folder / "ca.pem", folder / "server.pem"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, str, Path]]:
    """A broker, the address at which it asks for a password over TLS, whom to trust."""
    folder = tmp_path_factory.mktemp("guarded")
    trusted, own = certificate(folder)
    broker, port = Broker(folder / "kafka", free_port()), free_port()
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    broker.settings = {
        "listeners": f"PLAINTEXT://{HOST}:{broker.port},SECURE://{HOST}:{port},"
        f"CONTROLLER://{HOST}:{broker._controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,"
        "CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(own),
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": f'{module} required user_reader="{SECRET}";',
    }
    try:
        with skipped_without_kafka():
            broker.start()
        yield broker, f"{HOST}:{port}", trusted
    finally:
        broker.stop()


@pytest.fixture
def spec(guarded: tuple[Broker, str, Path], monkeypatch: pytest.MonkeyPatch) -> Spec:
    broker, _, trusted = guarded
    monkeypatch.setenv(USERNAME, "reader")
    monkeypatch.setenv(PASSWORD, SECRET)
    kafka = Kafka("SASL_SSL", "PLAIN", ssl_cafile=str(trusted))
    spec = replace(with_own_topics(SHOP), source=Source(kafka=kafka))
    create_topics(broker, [stream.topic for stream in spec.streams.values()])
    return spec


def test_who_knows_the_password_is_let_in_and_nothing_tells_it(
    guarded: tuple[Broker, str, Path], spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    # A command that ran in this process before may have quietened the client.
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="kafka"):
        source = KafkaSource(guarded[1], spec, patience_s=5)
        assert len(source.partitions()) == len(spec.streams)
        source.close()
        publisher = Publisher(guarded[1], Encoder(spec, "json"), Pace(None))
        publisher.open()
        publisher.close()
    assert caplog.records
    assert SECRET not in caplog.text
    assert SECRET not in repr(source.link)


@pytest.mark.parametrize("wrong", ["password", "plaintext", "untrusted"])
def test_who_does_not_is_told_in_one_paragraph(
    guarded: tuple[Broker, str, Path], spec: Spec, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = spec.source.kafka
    if wrong == "password":
        monkeypatch.setenv(PASSWORD, "guessed-word")
    elif wrong == "plaintext":
        kafka = Kafka()
    else:
        kafka = replace(kafka, ssl_cafile=None)
    source = KafkaSource(guarded[1], replace(spec, source=Source(kafka=kafka)), patience_s=2)
    source.link.request_s = 2.0
    with pytest.raises(UserError, match=r"kafka://.*: expected .* received ") as told:
        source.partitions()
    assert "source.kafka" in str(told.value)
    assert "guessed-word" not in str(told.value)


def test_secrets_come_from_the_environment_and_files_must_be_there(tmp_path: Path) -> None:
    sasl = Kafka("SASL_SSL", "SCRAM-SHA-512")
    with pytest.raises(UserError, match=f"environment: expected {USERNAME}"):
        security_of(sasl, {})
    with pytest.raises(UserError, match=f"environment: expected {PASSWORD}"):
        security_of(sasl, {USERNAME: "me"})
    told = security_of(sasl, {USERNAME: "me", PASSWORD: "x", KEY_PASSWORD: "y"})
    assert told == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "ssl_check_hostname": True,
        "sasl_plain_username": "me",
        "sasl_plain_password": "x",
        "ssl_password": "y",
    }
    with pytest.raises(UserError, match=r"source\.kafka\.ssl_cafile: expected a file"):
        security_of(Kafka("SSL", ssl_cafile=str(tmp_path / "none.pem")), {})

"""What a client must say to be let in: the spec's settings, and secrets from the environment."""

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas.errors import UserError
from schemas.spec import Kafka

USERNAME = "MILLSTREAM_KAFKA_USERNAME"
PASSWORD = "MILLSTREAM_KAFKA_PASSWORD"
KEY_PASSWORD = "MILLSTREAM_KAFKA_KEY_PASSWORD"


def security_of(kafka: Kafka, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The arguments of a client. Raises UserError if a secret or a file is missing."""
    settings = {name: value for name, value in asdict(kafka).items() if value is not None}
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        if name in settings and not Path(settings[name]).is_file():
            raise UserError(
                f"spec: source.kafka.{name}: expected a file, received {settings[name]!r}, which "
                "is none"
            )
    if kafka.security_protocol.startswith("SASL"):
        _keep_quiet()
        settings["sasl_plain_username"] = _secret(USERNAME, kafka, environment)
        settings["sasl_plain_password"] = _secret(PASSWORD, kafka, environment)
    if KEY_PASSWORD in environment:
        settings["ssl_password"] = environment[KEY_PASSWORD]
    return settings


def _keep_quiet() -> None:
    """At DEBUG the client logs what it sends, passwords included."""
    log = logging.getLogger("kafka")
    if log.getEffectiveLevel() < logging.INFO:
        log.setLevel(logging.INFO)


def _secret(name: str, kafka: Kafka, environment: Mapping[str, str]) -> str:
    try:
        return environment[name]
    except KeyError as error:
        raise UserError(
            f"environment: expected {name}, for the spec says source.kafka.security_protocol = "
            f'"{kafka.security_protocol}", received nothing. Set it where millstream is started.'
        ) from error

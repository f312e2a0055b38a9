"""Asks a running registrar for an answer, as anybody at the enrolment door can (docker-compose.yml has it run).

The request is dated too long ago to be considered, so the registrar refuses it before it looks at a name or a password,
and writes nothing. Yet the refusal is signed, and comes only where the registrar takes requests at the enrolment door
and publishes at the members' door.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time

from pydantic import SecretStr

from common import certificates, console, messages, topics
from common.connection import Address, SessionOptions, verified_context
from common.console import DEFAULT_BROKER, DEFAULT_ENROL_PORT, BrokerOption, EnrolPortOption, HomeOption
from common.device import anonymous_client_id
from common.enveloping import Cipher, encrypt
from common.errors import RefusedError
from common.replies import read_reply
from common.session import Session
from common.settings import Settings, load_settings
from registrar.authority import REGISTRAR, read_trust
from registrar.authority_files import read_certificate

PROGRAM = "registrar"
HOME = console.default_home(PROGRAM)
_PATIENCE = 5.0  # seconds, for the session and for the reply
_TOO_OLD = "clock"  # the code of the refusal that is hoped for


def demand_answer(home: Path, door: Address, settings: Settings, now: dt.datetime) -> None:
    """Ask the registrar of the folder ``home`` at its enrolment door.

    Raises SessionError where the broker or the registrar stays silent, VerificationError where another registrar
    answers, RefusedError where the refusal is another than expected.
    """
    trust, registrar = read_trust(home, now), read_certificate(home / REGISTRAR)
    client_id = anonymous_client_id()
    request = messages.EnrolRequest(
        topic=topics.enrolment(client_id),
        sent_at=now - 2 * dt.timedelta(seconds=settings.clock_tolerance),
        user=PROGRAM,
        password=SecretStr(""),
        csr="",
    )
    sealed = encrypt(request.to_json(), [registrar], Cipher.AES_256_GCM)
    options = SessionOptions(connect_timeout=_PATIENCE, reply_timeout=_PATIENCE)
    with Session(door, client_id, verified_context(certificates.to_pem(trust.root)), options) as session:
        session.subscribe(topics.all_replies(client_id))
        reply = session.request(request.topic, sealed, operation=request.operation)
    try:
        read_reply(reply.payload, request, sealed, messages.EnrolResult, trust=trust, now=now)
    except RefusedError as refusal:
        if refusal.code != _TOO_OLD:
            raise


def healthcheck(
    *,
    broker: BrokerOption = DEFAULT_BROKER,
    enrol_port: EnrolPortOption = DEFAULT_ENROL_PORT,
    home: HomeOption = HOME,
) -> None:
    """Ask the running registrar for an answer; exits with 1 where none comes."""
    demand_answer(home, Address(broker, enrol_port), load_settings(home), console.now())


def main() -> None:
    """Run the check with options from the command line, the environment and the folder's settings.toml."""
    app = console.make_app("Ask a running registrar for an answer.", PROGRAM)
    app.command()(healthcheck)
    console.run(app, PROGRAM, ["healthcheck", *sys.argv[1:]])


if __name__ == "__main__":
    main()

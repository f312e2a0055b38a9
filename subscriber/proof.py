"""What proves to others who has signed an image: a detached signature and the chain (docs/protocol.md, "Proofs")."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import shlex
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from common import certificates, revocation_lists
from common.errors import ConfigurationError, VerificationError
from common.files import PRIVATE_FILE, write_private
from common.images import read_image_file
from common.sealing import header_of
from common.signing import verify_detached
from common.topics import ImageTopic

if TYPE_CHECKING:
    from pathlib import Path

    from common.certificates import Trust
    from common.messages import ImageHeader
    from subscriber.ledger import Entry, Ledger
    from subscriber.obtaining import Obtainer

_HOW_TO_CHECK = """\
Who has signed the image in this folder? Check it with Sealcast,

    subscriber verify-proof {name} --ca-fingerprint FINGERPRINT

or with OpenSSL 3.0.22 or newer, which says that the signature and the chain hold, and not who it was:

    {command}

The chain alone proves nothing, since anybody can make one: have somebody you trust tell you the fingerprint of the
authority, which `registrar fingerprint` prints.
"""
SIGNATURE, CHAIN = ".p7s", ".chain.pem"  # behind the name of the image's file


@dataclass(frozen=True, slots=True)
class Proof:
    """An image, its owner's detached signature (DER), and root, issuing CA and its newest revocation list (PEM)."""

    path: Path  # of the image
    image: bytes
    signature: bytes
    chain: bytes
    at: dt.datetime  # when the signer's certificate has to be valid

    def command(self, folder: Path | None = None) -> str:
        """Return the command with which OpenSSL, 3.0.22 or newer, checks the proof in ``folder``, or in this one."""
        path = shlex.quote(str(folder / self.name) if folder else self.name)
        signature, chain = (shlex.quote(str(folder / name) if folder else name) for name in self.names)
        return (
            f"openssl cms -verify -binary -inform DER -in {signature} -content {path} -CAfile {chain} "
            f"-no-CApath -no-CAstore -attime {int(self.at.timestamp())} -out /dev/null"
        )

    @property
    def name(self) -> str:
        """The name of the image's file."""
        return self.path.name

    @property
    def names(self) -> tuple[str, str]:
        """The names of the files for signature and chain."""
        return self.name + SIGNATURE, self.name + CHAIN


def make_proof(entry: Entry, ledger: Ledger, trust: Trust, *, maximum_size: int) -> Proof:
    """Return the proof for a saved image, whose owner's signature is in the ledger; ``trust`` is the device's.

    Raises VerificationError where the file is not any more what its owner has signed, and ConfigurationError,
    ``no_proof``, where it is not there, or its signature was not kept.
    """
    if entry.path is None:
        raise ConfigurationError(
            "the image was refused, so there is nothing to prove",
            hint="see `subscriber list` for what was saved",
            code="no_proof",
        )
    signature = ledger.signature(entry.owner, entry.image_id)
    if signature is None:
        raise ConfigurationError(
            "the signature was not kept by the version that has saved the image",
            hint=f"get it from the archive: subscriber proof {entry.image_id}",
            code="no_proof",
        )
    hint = f"move {entry.path} away, if it is there, and get the image back: subscriber fetch {entry.image_id}"
    if not entry.is_here:
        raise ConfigurationError(f"the image is not at {entry.path} any more", hint=hint, code="no_proof")
    image = read_image_file(entry.path, maximum_bytes=maximum_size)
    try:
        signed = verify_detached(signature, image)
        header = header_of(signed)
    except VerificationError as error:
        message = f"{entry.path} is not any more what {entry.owner} has signed"
        raise VerificationError(error.reason, message=message, hint=hint) from error
    at = moment_of(header, signed.certificate)
    issuing = certificates.issuer_of_member(signed.certificate, trust.root, trust.issuing, at=at)
    crl = revocation_lists.crl_of(issuing, trust.crls)
    chain = certificates.to_pem(trust.root, issuing) + revocation_lists.to_pem([crl] if crl is not None else [])
    return Proof(entry.path, image, signature, chain, at)


def fetch_signature(entry: Entry, ledger: Ledger, obtainer: Obtainer) -> None:
    """Keep the signature of an image that an earlier version has saved; raises SealcastError where it cannot be had."""
    topic = ImageTopic(entry.owner, entry.channel, entry.image_id)
    obtainer.refresh_trust()
    opened = obtainer.fetch_and_open(entry.image_id, topic)
    if opened.header.sha256 != entry.sha256:
        raise VerificationError("another image has this id", message="the archive has another image under this id")
    ledger.keep_signature(entry.owner, entry.image_id, opened.signature)


def moment_of(header: ImageHeader, certificate: x509.Certificate) -> dt.datetime:
    """Return when a chain has to be valid: when the owner says the image was sent, within the certificate's life.

    The owner's clock may have been wrong, and owners may say any time; a certificate's life is the registrar's word.
    """
    last = certificate.not_valid_after_utc - dt.timedelta(seconds=1)  # OpenSSL counts its last second as too late
    return min(max(header.sent_at, certificate.not_valid_before_utc), last)


def write_proof(proof: Proof, folder: Path, *, with_image: bool) -> tuple[Path, Path]:
    """Write signature and chain, and the image where that is wanted; return where the first two are.

    Each file is whole or not there, and for its owner only. Raises ConfigurationError, ``file_exists``, before anything
    is written, where another file has one of the names.
    """
    signature, chain = (folder / name for name in proof.names)
    wanted = {signature: proof.signature, chain: proof.chain}
    if with_image:
        wanted[folder / proof.name] = proof.image
    missing = {path: content for path, content in wanted.items() if not _is_there(path, content)}
    for path, content in missing.items():
        write_private(path, content)
    return signature, chain


def proof_archive(proof: Proof) -> bytes:
    """Return a ZIP archive of image, signature, chain, and a text that says how to check them."""
    # Its owner may have chosen a name that begins as an option does.
    text = _HOW_TO_CHECK.format(name=shlex.quote(f"./{proof.name}"), command=proof.command())
    signature, chain = proof.names
    files = {
        proof.name: proof.image,
        signature: proof.signature,
        chain: proof.chain,
        f"{proof.name}.txt": text.encode(),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, proof.at.timetuple()[:6])
            member.external_attr = PRIVATE_FILE << 16  # else some programs unpack files that nobody may read
            file.writestr(member, content)
    return archive.getvalue()


def _is_there(path: Path, content: bytes) -> bool:
    """Tell whether a file has this content already; an earlier chain counts as none, another file is an error."""
    if not os.path.lexists(path):
        return False
    with contextlib.suppress(OSError):
        found = path.read_bytes() if path.stat().st_size <= len(content) * 2 else b""
        if found == content:
            return True
        if path.name.endswith(CHAIN) and not path.is_symlink() and _authorities(found) == _authorities(content):
            return False  # with an older revocation list
    raise ConfigurationError(
        f"there is another file at {path}",
        hint="move it away, or give another folder with --output",
        code="file_exists",
    )


def _authorities(pem: bytes) -> list[x509.Certificate] | None:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None

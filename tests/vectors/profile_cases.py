"""What is not of the CMS profile."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import handmade
from vectors.world import CBC, GCM, IMAGE, IMAGE_ID, Case, World

if TYPE_CHECKING:
    from collections.abc import Mapping


def cases(world: World) -> list[Case]:
    return [*_structure(world), *_algorithms(world), *_attributes(world)]


def _structure(w: World) -> list[Case]:
    envelope, signed = "EnvelopedContentInfo of the profile", "SignedContentInfo of the profile"
    infos = [w.info(w.bob), w.info(w.registrar)]
    first, second = sorted(infos)
    earlier, later = sorted(w.attributes())[:2]
    certificate = handmade.der_of(w.alice.certificate)
    issuer_and_serial = handmade.sequence(handmade.sequence(), handmade.integer(1))
    return [
        Case("empty", envelope, edit=lambda _: b""),
        Case("cut-off", envelope, edit=lambda der: der[:-1]),
        Case("trailing-byte", envelope, edit=lambda der: der + b"\0"),
        Case("ber-indefinite-length", envelope, edit=lambda der: b"\x30\x80" + der[4:] + b"\0\0"),
        Case("ber-long-length", envelope, edit=lambda der: b"\x30\x83\0" + der[2:]),
        Case("signed-only", envelope, edit=lambda _: w.signed({}, w.header({}))),
        Case("unsorted-recipients", envelope, **_swapped(first, second, {"recipient_infos": infos})),
        Case("unsorted-attributes", envelope, **_swapped(earlier, later, {"attributes": w.attributes()})),
        Case("no-recipient", envelope, enveloped={"recipient_infos": []}),
        Case("same-recipient-twice", "same identifier", enveloped={"recipients": [w.bob.certificate] * 2}),
        Case(
            "recipient-by-serial",
            envelope,
            enveloped={"recipient_infos": [w.info(w.bob, identifier=issuer_and_serial)]},
        ),
        Case("recipient-version-0", "version", enveloped={"recipient_infos": [w.info(w.bob, version=0)]}),
        Case("envelope-version-1", "version", enveloped={"version": 1}),
        Case("originator-info", envelope, enveloped={"before_recipients": handmade.tlv(0xA0)}),
        Case("unauthenticated-attributes", envelope, enveloped={"unauthenticated_attributes": handmade.tlv(0xA2)}),
        Case("content-type-signed-data", "content_type", enveloped={"content_type": handmade.SIGNED_DATA}),
        Case("no-signed-data", signed, enveloped={"content": IMAGE}),
        Case("signed-data-trailing-byte", signed, enveloped={"content": w.signed({}, w.header({})) + b"\0"}),
        Case("signed-version-1", "version", signed={"version": 1}),
        Case("signed-content-type", "content_type", signed={"content_type": handmade.SIGNED_DATA}),
        Case("no-certificate", signed, signed={"certificates": []}),
        Case("two-certificates", signed, signed={"certificates": [certificate, handmade.der_of(w.bob.certificate)]}),
        Case("revocation-list-inside", signed, signed={"after_certificates": handmade.tlv(0xA1)}),
        Case("two-signers", signed, signed={"signer_infos": 2}),
        Case("no-signer", signed, signed={"signer_infos": 0}),
        Case("unsigned-attributes", signed, signed={"unsigned_attributes": handmade.tlv(0xA1)}),
    ]


def _swapped(first: bytes, second: bytes, enveloped: Mapping[str, Any]) -> dict[str, Any]:
    return {"enveloped": enveloped, "edit": lambda der: der.replace(first + second, second + first)}


def _algorithms(w: World) -> list[Case]:
    nonce, iv = secrets.token_bytes(12), secrets.token_bytes(16)
    sha1 = handmade.sequence(handmade.oid("1.3.14.3.2.26"))
    hmac_sha1 = handmade.sequence(handmade.oid("1.2.840.113549.2.7"), handmade.NULL)
    oaep_sha1 = handmade.sequence(handmade.oid("1.2.840.113549.1.1.7"), handmade.sequence())
    pkcs1 = handmade.sequence(handmade.oid("1.2.840.113549.1.1.1"), handmade.NULL)
    aes_256_cbc = handmade.sequence(handmade.oid("2.16.840.1.101.3.4.1.42"), handmade.octets(iv))

    def wrapped(name: str, algorithm: bytes) -> Case:
        infos = [w.info(w.bob, algorithm=algorithm)]
        return Case(name, "key_encryption_algorithm", enveloped={"recipient_infos": infos})

    def gcm(name: str, reason: str, algorithm: bytes, **others: Any) -> Case:  # noqa: ANN401 - whatever Enveloped takes
        return Case(name, reason, enveloped={"nonce": nonce, "algorithm": algorithm, **others})

    def cbc(name: str, reason: str, algorithm: bytes) -> Case:
        return Case(name, reason, suite=CBC, enveloped={"nonce": iv, "algorithm": algorithm})

    return [
        wrapped("oaep-sha1", oaep_sha1),
        wrapped("oaep-hash-with-null", handmade.oaep(handmade.SHA256_NULL)),
        wrapped("rsa-pkcs1", pkcs1),
        Case(
            "pss-hash-without-null",
            "signature_algorithm",
            signed={"signature_algorithm": handmade.pss(handmade.SHA256)},
        ),
        Case("pss-sha1", "signature_algorithm", signed={"signature_algorithm": handmade.pss(sha1)}),
        Case(
            "pss-salt-20",
            "signature_algorithm",
            signed={"signature_algorithm": handmade.pss(salt_length=20), "salt_length": 20},
        ),
        Case("pss-salt-20-not-said", "signature does not hold", signed={"salt_length": 20}),
        Case("digest-with-null", "digest_algorithms", signed={"digest_algorithm": handmade.SHA256_NULL}),
        Case("digest-sha1", "digest_algorithms", signed={"digest_algorithm": sha1}),
        gcm("gcm-short-tag", "tag_size", handmade.gcm(nonce, tag_size=handmade.integer(4)), tag_size=4),
        gcm("gcm-short-tag-not-said", "the tag has 4 bytes", handmade.gcm(nonce), tag_size=4),
        gcm("gcm-tag-size-left-out", "GcmAlgorithm", handmade.gcm(nonce, tag_size=b""), tag_size=12),
        Case("gcm-nonce-16", "GcmAlgorithm", enveloped={"nonce": iv}),
        gcm("aes-128-gcm", "content encryption", handmade.gcm(nonce, name="2.16.840.1.101.3.4.1.6")),
        gcm("aes-256-cbc", "content encryption", aes_256_cbc),
        cbc("auth-enc-256", "content encryption", handmade.auth_enc(iv, name="1.2.840.113549.1.9.16.3.16")),
        cbc("auth-enc-prf-sha1", "key_derivation", handmade.auth_enc(iv, prf=hmac_sha1)),
        cbc("auth-enc-two-iterations", "key_derivation", handmade.auth_enc(iv, iterations=2)),
        cbc("auth-enc-mac-sha1", "AuthEncParameters: mac", handmade.auth_enc(iv, mac=hmac_sha1)),
    ]


def _attributes(w: World) -> list[Case]:
    wrong_type = handmade.attribute("1.2.840.113549.1.9.3", handmade.SIGNED_DATA)
    signing_time = handmade.attribute("1.2.840.113549.1.9.5", handmade.tlv(0x17, b"261124120000Z"))
    twice = handmade.attribute("1.2.840.113549.1.9.3", handmade.DATA, handmade.DATA)
    digest_of_15 = handmade.attribute("1.2.840.113549.1.9.4", handmade.octets(bytes(15)))
    not_the_profile, content_type = "attributes are not those", "contentType is not id-data"
    envelope, signed = "EnvelopedContentInfo", "SignedContentInfo"

    def enveloped(name: str, reason: str, **changes: bytes) -> Case:
        return Case(name, reason, enveloped={"attributes": w.attributes(GCM, **changes)})

    def signed_with(name: str, reason: str, **changes: bytes) -> Case:
        return Case(name, reason, signed={"attributes": w.signed_attributes(**changes)})

    return [
        enveloped("no-key-commitment", not_the_profile, commitment=b""),
        enveloped("no-sender-hash", not_the_profile, sender=b""),
        enveloped("no-image-id", not_the_profile, image_id=b""),
        enveloped("no-content-type", content_type, content_type=b""),
        enveloped("wrong-content-type", content_type, content_type=wrong_type),
        enveloped("one-attribute-more", not_the_profile, extra=signing_time),
        enveloped("content-type-twice", "twice", extra=handmade.CONTENT_TYPE),
        enveloped("two-values", envelope, content_type=twice),
        enveloped("image-id-15-bytes", "15 bytes", image_id=handmade.image_id(IMAGE_ID.bytes[:15])),
        signed_with("no-signed-content-type", content_type, content_type=b""),
        signed_with("wrong-signed-content-type", content_type, content_type=wrong_type),
        signed_with("no-message-digest", not_the_profile, digest=b""),
        signed_with("message-digest-15-bytes", "15 bytes", digest=digest_of_15),
        signed_with("signing-time", not_the_profile, extra=signing_time),
        signed_with("two-signed-values", signed, content_type=twice),
        signed_with(
            "header-no-text",
            "str of the profile",
            header=handmade.attribute(f"{handmade.SEALCAST}.1", handmade.octets(b"{}")),
        ),
    ]

"""What opens, and what is of the profile and still may not open: step 2 of docs/protocol.md, "Opening", and later."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from typing import TYPE_CHECKING

import handmade
import two_keys
from authorities import DAY, NOW, Holder
from vectors.world import CBC, GCM, IMAGE, IMAGE_ID, MINUTE, TOPIC, Case, World

if TYPE_CHECKING:
    from collections.abc import Callable


def cases(world: World) -> list[Case]:
    return [
        *_opened(world),
        *_keys(world),
        *_cipher(world),
        *_signer(world),
        *_audience(world),
        *_content(),
    ]


def _opened(w: World) -> list[Case]:
    named = {"audience": "named", "recipients": w.fingerprints(w.bob)}
    to_bob, to_registrar = {"recipients": [w.bob.certificate]}, {"recipients": [w.registrar.certificate]}
    of_registrar = {"recipients": w.fingerprints(w.registrar)}
    former = {"recipients": w.fingerprints(w.former_bob, w.registrar)}
    return [
        *(Case(f"members-{suite}", suite=suite) for suite in (GCM, CBC)),
        *(Case(f"named-{suite}", suite=suite, header=named, enveloped=to_bob) for suite in (GCM, CBC)),
        *(
            Case(f"released-{suite}", suite=suite, header=of_registrar, enveloped=to_registrar, released=w.keys[suite])
            for suite in (GCM, CBC)
        ),
        Case("registrar", reader="registrar"),
        Case("former-certificate", header=former),
        Case("not-yet-expired", header={"expires_at": f"{NOW + MINUTE:%Y-%m-%dT%H:%M:%SZ}"}),
        Case("expired-owner-stored-before", signed={"signer": w.expired_alice}, at=NOW - 2 * DAY),
        Case(
            "revoked-owner-stored-before",
            header={"owner": "eve", "topic": TOPIC.replace("alice", "eve")},
            signed={"signer": w.eve},
            topic=TOPIC.replace("alice", "eve"),
            at=NOW - DAY - MINUTE,
        ),
    ]


def _cipher(w: World) -> list[Case]:
    iv, attributes = secrets.token_bytes(16), handmade.set_of(*w.attributes(CBC))
    ciphertext, _ = handmade.encrypt_then_mac(w.keys[CBC], iv, b"", w.signed({}, w.header({})), b"")
    mac_key = handmade.derive(w.keys[CBC], b"authentication", 32)

    def spoilt_by_its_sender(name: str, rest: bytes) -> Case:
        mac = handmade.authenticate(mac_key, handmade.auth_enc(iv), rest, attributes)
        enveloped = {"nonce": iv, "attributes": w.attributes(CBC), "ciphertext": rest, "mac": mac}
        return Case(name, "padding", suite=CBC, enveloped=enveloped)

    def flipped(der: bytes, position: int) -> bytes:
        position %= len(der)
        return der[:position] + bytes([der[position] ^ 1]) + der[position + 1 :]

    def in_both_suites(name: str, edit: Callable[[bytes], bytes]) -> list[Case]:
        reasons = ((GCM, "the tag does not hold"), (CBC, "the mac does not hold"))
        return [Case(f"{name}-{suite}", reason, suite=suite, edit=edit) for suite, reason in reasons]

    return [
        *in_both_suites("tag-flipped", lambda der: flipped(der, -1)),
        *in_both_suites("ciphertext-flipped", lambda der: flipped(der, -600)),
        *in_both_suites("attribute-replaced", lambda der: der.replace(IMAGE_ID.bytes, bytes(16))),
        Case("mac-cut", "the mac does not hold", suite=CBC, enveloped={"tag_size": 16}),
        spoilt_by_its_sender("half-a-block", ciphertext[:-8]),
        spoilt_by_its_sender("no-padding", ciphertext[:-16]),
    ]


def _keys(w: World) -> list[Case]:
    nonce, second_key = secrets.token_bytes(12), secrets.token_bytes(32)
    ciphertext, tag = two_keys.encrypt(
        w.keys[GCM], second_key, nonce, handmade.set_of(*w.attributes()), w.signed({}, w.header({}))
    )
    two = {"nonce": nonce, "attributes": w.attributes(), "ciphertext": ciphertext, "mac": tag}
    second = handmade.recipient_info(w.bob.certificate, second_key)
    to_carol = {"recipients": [w.carol.certificate]}
    to_registrar = {"recipients": [w.registrar.certificate]}
    encrypted_for_carol = w.info(w.carol, identifier=handmade.tlv(0x80, handmade.identifier_of(w.bob.certificate)))
    other_commitment = w.attributes(commitment=handmade.key_commitment(second_key))
    return [
        Case("not-a-recipient", "none of the reader's keys", code="not_recipient", enveloped=to_carol),
        Case(
            "not-a-recipient-twin",
            reader="carol",
            header={"recipients": w.fingerprints(w.carol, w.registrar)},
            enveloped=to_carol,
        ),
        Case("key-for-carol", "not encrypted to this key", enveloped={"recipient_infos": [encrypted_for_carol]}),
        Case("released-other-key", "tag does not hold", enveloped=to_registrar, released=second_key),
        Case("released-short-key", "key has 16 bytes", enveloped=to_registrar, released=second_key[:16]),
        Case("commitment-to-another-key", "key commitment", enveloped={"attributes": other_commitment}),
        Case("two-keys-second", "key commitment", enveloped=two | {"recipient_infos": [second]}),
        # The first key passes tag and commitment; what it opens ends in the block that makes the attack.
        Case("two-keys-first", "SignedContentInfo", enveloped=two),
    ]


def _signer(w: World) -> list[Case]:
    other_key = Holder(w.mallory.key, w.alice.certificate)
    other_certificate = {"signer": w.alice, "certificates": [handmade.der_of(w.mallory.certificate)]}
    other_digest = w.signed_attributes(digest=handmade.message_digest(b""))
    as_eve = {"owner": "eve", "topic": TOPIC.replace("alice", "eve")}
    of_mallory = handmade.sender_certificate_hash(w.mallory.certificate)
    other_id = handmade.image_id(bytes(16))
    return [
        Case("signed-by-another-key", "signature does not hold", signed={"signer": other_key}),
        Case("certificate-of-another", "signer is not the certificate", signed=other_certificate),
        Case("digest-of-another-content", "digest is not that", signed={"attributes": other_digest}),
        Case("foreign-authority", "validation failed", signed={"signer": w.foreign_alice}),
        Case("expired-owner", "not valid at", signed={"signer": w.expired_alice}),
        Case("owner-not-yet-valid", "not valid at", at=NOW - 2 * DAY),
        Case("revoked-owner", "revoked", header=as_eve, signed={"signer": w.eve}, topic=as_eve["topic"]),
        Case("signed-by-the-registrar", "not a member's certificate", signed={"signer": w.registrar}),
        Case(
            "sender-hash-of-another",
            "sender certificate hash",
            enveloped={"attributes": w.attributes(sender=of_mallory)},
        ),
        Case("signed-by-another-member", "names alice as the owner", signed={"signer": w.mallory}),
        Case("image-id-of-another", "image id", enveloped={"attributes": w.attributes(image_id=other_id)}),
    ]


def _audience(w: World) -> list[Case]:
    only_carol = {"recipients": w.fingerprints(w.carol, w.registrar)}
    named = {"audience": "named"}
    to_registrar = {"recipients": [w.registrar.certificate]}
    unsorted = {"recipients": w.fingerprints(w.bob, w.registrar)[::-1]}
    twice = {"recipients": w.fingerprints(w.bob, w.bob, w.registrar)}
    other_id = uuid.UUID(int=IMAGE_ID.int + 1)
    elsewhere, of_carol = TOPIC.replace("public", "family"), TOPIC.replace("alice", "carol")
    of_another_image = TOPIC.replace(str(IMAGE_ID), str(other_id))
    not_named = "did not name this reader"
    return [
        Case("encrypted-again-for-bob", not_named, header=only_carol),
        Case("released-named", not_named, header=only_carol | named, enveloped=to_registrar, released=w.keys[GCM]),
        Case("named-for-the-registrar", "encrypted to the registrar", header=named, reader="registrar"),
        Case("unsorted-header-recipients", "not sorted", header=unsorted),
        Case("header-recipient-twice", "not sorted", header=twice),
        Case("other-topic", "and its header says", topic=elsewhere),
        Case("other-topic-twin", header={"topic": elsewhere}, topic=elsewhere),
        Case("topic-of-another-owner", "not the topic of", header={"topic": of_carol}, topic=of_carol),
        Case("topic-of-another-image", "not the topic of", header={"topic": of_another_image}, topic=of_another_image),
        Case("no-image-topic", "not the topic of", header={"topic": "sealcast/v1/images"}, topic="sealcast/v1/images"),
        Case("seen", "opened before", code="replayed", seen="yes"),
        Case("expired", "expired", code="expired", header={"expires_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}),
    ]


def _content() -> list[Case]:
    def described(case: str, reason: str, **header: object) -> Case:
        return Case(case, reason, header=header)

    def holding(case: str, reason: str, content: bytes) -> Case:
        header = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return Case(case, reason, header=header, signed={"content": content})

    request = json.dumps({"version": 1, "purpose": "sealcast-request", "operation": "renew"}).encode()
    return [
        described("other-size", "another content", size=len(IMAGE) + 1),
        described("other-sha256", "another content", sha256="0" * 64),
        described("other-media-type", "its header does not say", media_type="image/gif"),
        described("other-width", "its header does not say", width=1),
        described("other-height", "its header does not say", height=2),
        described("unknown-member", "extra", extra=1),
        described("version-2", "version", version=2),
        described("other-purpose", "purpose", purpose="sealcast-request"),
        described("name-with-slash", "name", name="../two-pixels.png"),
        holding("no-image", "does not decode", b"no image"),
        holding("cut-image", "does not decode", IMAGE[:-30]),
        Case("header-no-json", "JSON", signed={"header": "two-pixels.png"}),
        Case("request-in-place-of-image", "attributes are not", signed={"content": request, "header": None}),
        Case("sealed-request", "that of a request", enveloped={"image_id": None, "sender": None}),
    ]

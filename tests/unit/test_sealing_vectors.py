"""Opens every file of tests/vectors: sealed images by an encoder that shares no code with this one."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from vectors import generate, opening_cases, profile_cases
from vectors.world import World

from common import sealing
from common.certificates import Trust
from common.decoding.inspection import inspect
from common.errors import VerificationError

FOLDER = Path(generate.__file__).parent
PATHS = sorted((FOLDER / "sealed").glob("*.txt"))


def open_vector(vector: generate.Vector) -> sealing.OpenedImage:
    lines = vector.lines
    return sealing.open_sealed(
        vector.sealed,
        topic=lines["topic"],
        reader=reader(lines["reader"]),
        trust=trust(),
        at=dt.datetime.fromisoformat(lines["at"]),
        now=dt.datetime.fromisoformat(lines["now"]),
        maximum_size=1 << 16,
        inspect=functools.partial(inspect, maximum_pixels=2),
        seen=lambda _owner, _image_id: lines["seen"] == "yes",
        released_key=None if lines["released"] == "-" else bytes.fromhex(lines["released"]),
    )


def reader(name: str) -> sealing.Reader:
    pem = (FOLDER / "readers" / f"{name}.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return sealing.Reader(key, tuple(x509.load_pem_x509_certificates(pem)))


def trust() -> Trust:
    root, issuing, crl = ((FOLDER / "trust" / f"{name}.pem").read_bytes() for name in ("root", "issuing", "crl"))
    return Trust(
        x509.load_pem_x509_certificate(root), (x509.load_pem_x509_certificate(issuing),), (x509.load_pem_x509_crl(crl),)
    )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    vector = generate.Vector.read(path)
    if vector.lines["expect"] == "opened":
        assert open_vector(vector).image == (FOLDER / "image.png").read_bytes()
        return
    assert vector.lines["expect"] == "refused"
    with pytest.raises(VerificationError) as raised:
        open_vector(vector)
    assert raised.value.code == vector.lines["code"]
    assert vector.lines["reason"] in raised.value.reason
    assert raised.value.message == "the image could not be verified"


def test_the_files_are_those_that_the_generator_makes() -> None:
    world = World()
    cases = [*opening_cases.cases(world), *profile_cases.cases(world)]
    assert {case.name for case in cases} == {path.stem for path in PATHS}

# One small image for the registrar, the publisher and the subscriber. It holds Python, the locked dependencies and this
# project; what builds the wheel stays behind in the first stage.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Before the sources, so that a change of them does not fetch everything again.
COPY requirements/runtime.txt requirements/
RUN pip wheel --quiet --require-hashes --requirement requirements/runtime.txt --wheel-dir /wheels \
 && pip install --quiet --no-index --find-links /wheels hatchling
COPY . .
RUN pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/sealcast \
 && pip --python /opt/sealcast install --quiet --no-index --find-links /wheels 'sealcast[postgresql]'

FROM python:3.12-slim-bookworm
# The same number as in eclipse-mosquitto: the broker reads what the registrar writes for it, and nobody else can.
RUN groupadd --gid 1883 sealcast \
 && useradd --uid 1883 --gid 1883 --no-create-home --home-dir /var/lib/sealcast --shell /usr/sbin/nologin sealcast \
 # A volume that is mounted on one of these takes over its owner and mode.
 && install -d -m 700 -o sealcast -g sealcast /var/lib/sealcast /var/lib/sealcast/member /var/lib/sealcast/inbox \
      /var/lib/sealcast/registrar /var/lib/sealcast/registrar/broker /var/lib/sealcast/registrar/broker/trust
COPY --from=build /opt/sealcast /opt/sealcast
ENV PATH=/opt/sealcast/bin:$PATH
USER 1883:1883
CMD ["registrar", "--help"]

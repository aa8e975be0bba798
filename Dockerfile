# The bridge as a container image.
#
#   docker build --tag aventa-bridge .
#   docker run --rm --read-only --stop-timeout 60 \
#     --volume aventa-bridge:/var/lib/aventa-bridge \
#     --volume "$PWD/secrets:/etc/aventa-bridge/secrets:ro" \
#     --env BRIDGE_CENTION__BASE_URL=https://… --env BRIDGE_CENTION__WORKSPACE=… \
#     --publish 8080:8080 aventa-bridge
#
# `secrets` holds a file a secret, named by its key and readable for user 10001: `cention.token`, and
# `http.auth_tokens` with one token a line. A settings file is mounted and named:
# `aventa-bridge run --config /etc/aventa-bridge/bridge.toml`. SIGHUP reads both again.
#
# `make image` builds it without Docker, and tries it: nothing in it can be written to but its volume, and
# one call becomes one errand.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Where packages come from, if not from PyPI.
ARG PIP_INDEX_URL
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python3 -m venv /opt/aventa-bridge \
 && /opt/aventa-bridge/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
COPY config/mappings config/mappings
# The lock also holds what builds the package, which nothing needs any more after this.
RUN /opt/aventa-bridge/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation . \
 && /opt/aventa-bridge/bin/python -m pip uninstall --quiet --yes editables hatchling setuptools pip

FROM ${BASE}
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="aventa-bridge" \
      org.opencontainers.image.description="Turns the call events of an Aventa contact centre into errands and contact cards in Cention." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/aventa-bridge /opt/aventa-bridge
# The secrets' folder has to be there, even if empty: the daemon is told to look into it.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/aventa-bridge \
 && install --directory /etc/aventa-bridge/secrets
# What is set here wins over a settings file; `--env` wins over it.
#
# Events come from other containers or machines, so it listens everywhere, and refuses to start
# until http.auth_tokens or http.signing_secrets says who may post. The admin address asks nobody
# who they are (it shows figures, no personal data): leave its port unpublished, and on the host's
# network set BRIDGE_ADMIN__LISTEN=127.0.0.1:9108.
ENV PATH=/opt/aventa-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    CREDENTIALS_DIRECTORY=/etc/aventa-bridge/secrets \
    BRIDGE_STORE__URL=sqlite:////var/lib/aventa-bridge/bridge.db \
    BRIDGE_HTTP__LISTEN=0.0.0.0:8080 \
    BRIDGE_ADMIN__LISTEN=0.0.0.0:9108
# The only place that is written to. It has to be on a local disk.
VOLUME /var/lib/aventa-bridge
WORKDIR /var/lib/aventa-bridge
USER 10001:10001
EXPOSE 8080 9108
# Ready while events can be kept; Cention being away does not count.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python3", "-c", "import http.client, os; admin = http.client.HTTPConnection(os.environ['BRIDGE_ADMIN__LISTEN'], timeout=4); admin.request('GET', '/readyz'); raise SystemExit(admin.getresponse().status != 200)"]
ENTRYPOINT ["aventa-bridge"]
CMD ["run"]

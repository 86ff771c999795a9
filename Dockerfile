# syntax=docker/dockerfile:1
# The gateway as a small image. Everything is set by INTENDED_GATEWAY_* variables; the one writable place is /data.
#   docker build -t intended-gateway .
#   docker run -p 127.0.0.1:8787:8787 -v intended:/data \
#     -e INTENDED_GATEWAY_UPSTREAMS__default__URL=http://host.docker.internal:8080/mcp \
#     -e INTENDED_GATEWAY_UNSAFE_ALLOW_UNAUTHENTICATED=true intended-gateway

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY intended intended
COPY policies policies
RUN python -m venv /opt/intended && /opt/intended/bin/pip install '.[tracing]'

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Intended MCP gateway" \
      org.opencontainers.image.description="Decides, durably records, then forwards what an agent asks of MCP servers." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 intended \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin intended \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /data/store /data/state
COPY --from=build /opt/intended /opt/intended
ENV PATH=/opt/intended/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    INTENDED_GATEWAY_HOST=0.0.0.0 \
    INTENDED_GATEWAY_PORT=8787 \
    INTENDED_GATEWAY_DATA=/data/store \
    INTENDED_GATEWAY_STATE=/data/state
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["intended", "health"]
ENTRYPOINT ["intended"]
CMD ["run"]

# syntax=docker/dockerfile:1
# The build stage holds compilers and caches, the image only Python, alertd and its rules.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY alertd alertd
COPY rules rules
RUN python -m venv /opt/alertd && /opt/alertd/bin/pip install '.[postgres]'

FROM python:3.12-slim-bookworm
# A number, so that Kubernetes can see that it is not root; /data is where the configuration below keeps the database.
RUN groupadd --gid 10001 alertd \
    && useradd --uid 10001 --gid alertd --no-create-home --home-dir /data --shell /usr/sbin/nologin alertd \
    && install --directory --owner alertd --group alertd --mode 0700 /data
COPY --from=build /opt/alertd /opt/alertd
COPY rules /usr/share/alertd/rules
ENV PATH=/opt/alertd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9095
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9095/-/healthy', timeout=4)"]
ENTRYPOINT ["alertd"]
CMD ["run", "--config", "/etc/alertd/alertd.toml"]

# Targets: `api` (the default) and `worker`. DEVICE: cpu or gpu, the lock file in locks/. See docs/containers.md.
ARG BASE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS dependencies
ARG DEVICE=cpu
COPY locks/${DEVICE}.txt /tmp/lock.txt
# The secret is for a package index of your own: docker build --secret id=pip,src=pip.conf
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/graft \
    && /opt/graft/bin/pip install --no-cache-dir --require-hashes --requirement /tmp/lock.txt

FROM dependencies AS wheel
COPY pyproject.toml README.md /source/
COPY app /source/app
COPY graft /source/graft
COPY worker /source/worker
RUN /opt/graft/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheel /source

FROM dependencies AS without-build-tools
# TensorFlow's C++ headers (290 MB) are for compiling against it.
RUN /opt/graft/bin/pip uninstall --yes hatchling editables \
    && rm -r /opt/graft/lib/python3*/site-packages/tensorflow/include

FROM ${BASE} AS runtime
# The home belongs to the user already in the image: a new named volume takes that over.
RUN groupadd --gid 10001 graft \
    && useradd --uid 10001 --gid graft --home-dir /tmp --no-create-home --shell /usr/sbin/nologin graft \
    && install --directory --owner graft --group graft /var/lib/graft
COPY --from=without-build-tools /opt/graft /opt/graft
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    /opt/graft/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl
# HOME: where matplotlib, Keras and CUDA keep their caches, while nothing but /tmp and the volume can be written to.
ENV PATH=/opt/graft/bin:${PATH} HOME=/tmp GRAFT_HOME=/var/lib/graft
USER 10001:10001

FROM runtime AS worker
CMD ["graft", "worker", "training"]

FROM runtime AS api
ENV GRAFT_HOST=0.0.0.0
EXPOSE 8000
# Alive, not ready: an API that waits for its weights takes uploads, and must not be started again for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/live'); exit(c.getresponse().status != 200)"]
CMD ["graft", "api"]

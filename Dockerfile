# One image for the API, the workers, beat, Flower and migrations; the command says which.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/extrophi
WORKDIR /src
# The locks first: this layer is made again only when they change.
COPY requirements/build.txt requirements/flower.txt requirements/
RUN /opt/extrophi/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt \
    && /opt/extrophi/bin/pip install --require-hashes --only-binary=:all: -r requirements/flower.txt
COPY pyproject.toml README.md LICENSE main.py ./
COPY backend backend
RUN /opt/extrophi/bin/pip install --no-deps --no-build-isolation . \
    && /opt/extrophi/bin/python -m compileall -q /opt/extrophi/lib \
    && /opt/extrophi/bin/pip uninstall --yes pip

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin extrophi \
    && install -d -o extrophi -g extrophi -m 0700 /var/lib/extrophi
COPY --from=build /opt/extrophi /opt/extrophi
ENV PATH=/opt/extrophi/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/var/lib/extrophi
# The root file system may be read-only: only DATA_DIR and /tmp are written to.
VOLUME /var/lib/extrophi
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]

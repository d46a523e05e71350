# Rarewave without a GPU, every package as pinned in requirements/cpu.lock.
# Build:     docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS -t rarewave .
#            ADDRESS: where torch's builds for the processor are (docs/installation.md)
# Score:     docker run --rm -v "$PWD:/data" rarewave score model night.edf --out runs/night
# Dashboard: docker run --rm -p 127.0.0.1:8501:8501 -v "$PWD:/data" rarewave dashboard runs/night --host 0.0.0.0
# Research use only. Not a medical device.
FROM python:3.11-slim AS build
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY requirements/cpu.lock requirements/cpu.lock
RUN python -m venv /opt/rarewave \
 && /opt/rarewave/bin/pip install --no-cache-dir --require-hashes -r requirements/cpu.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY flowcore flowcore
COPY pipelines pipelines
COPY sample_data sample_data
RUN /opt/rarewave/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
COPY --from=build /opt/rarewave /opt/rarewave
RUN useradd --create-home --uid 10001 rarewave \
 && mkdir /data \
 && chown rarewave /data
ENV PATH=/opt/rarewave/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
EXPOSE 8501
ENTRYPOINT ["rarewave"]
CMD ["--help"]

# `ser serve` as a user without rights; see docs/service.md.
FROM python:3.12-slim

# What the heads read: spectral (librosa), encoders (transformers), egemaps (opensmile); what tells speakers apart: vad.
ARG EXTRAS=serve,spectral,encoders,egemaps,vad
# The index of torch's CPU builds, which PyTorch's installation page gives; without it torch brings CUDA, several gigabytes.
ARG PIP_EXTRA_INDEX_URL=

WORKDIR /src
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY ser ser
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" \
    && useradd --create-home --uid 10001 ser

USER 10001
WORKDIR /data
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["ser", "serve", "--host", "0.0.0.0"]

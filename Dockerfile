# The studio on port 7860, as Hugging Face Spaces runs it: one ordinary user, nothing fetched at start.
# With a GPU: docker build --build-arg TORCH=cu128 --build-arg EXTRAS="flash-attn>=2.7" .
FROM python:3.12-slim AS build

# cpu, or one of PyTorch's CUDA builds, which is gigabytes larger.
ARG TORCH=cpu
# More packages, such as flash-attn; they may be compiled, and the compiler stays in this stage.
ARG EXTRAS=""

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY requirements.txt .
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --extra-index-url "https://download.pytorch.org/whl/${TORCH}" -r requirements.txt \
    && if [ -n "${EXTRAS}" ]; then pip install --no-cache-dir --no-build-isolation ${EXTRAS}; fi

FROM python:3.12-slim

# Letters of Chinese, Japanese and Korean, for what is written on films: 5 MB.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends fonts-wqy-microhei && rm -rf /var/lib/apt/lists/*

# The folders are the user's own before anything is copied: compiled kernels are cached in the first,
# weights that are downloaded and what visitors send lie in the second, a volume.
RUN useradd --create-home --uid 1000 user && install -d -o user /home/user/app /data
USER 1000
WORKDIR /home/user/app
ENV HOME=/home/user \
    PATH=/opt/venv/bin:$PATH \
    HF_HOME=/data/hub \
    ADASPARK_CACHE_DIR=/data/studio \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
COPY --chown=user . .
# Seconds of the first answer, spent here.
RUN python -m adaspark ask assets/samples/1_needle.mp4 "What color is the star?"
VOLUME /data

EXPOSE 7860
# Without curl in the image. The page is up before the model is loaded, which takes seconds.
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz')"]
CMD ["python", "-m", "app", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]

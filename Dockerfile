# The studio on port 7860, as Hugging Face Spaces runs it: one ordinary user, nothing fetched at start.
FROM python:3.12-slim

# The folder is the user's own before anything is copied: compiled kernels are cached in it.
RUN useradd --create-home --uid 1000 user && install -d -o user /home/user/app
USER user
WORKDIR /home/user/app
ENV HOME=/home/user \
    PATH=/home/user/.local/bin:$PATH \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONUNBUFFERED=1

COPY --chown=user requirements.txt .
# The CPU build of torch: the CUDA build is for a machine with a GPU, and gigabytes larger.
RUN pip install --no-cache-dir --user --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

COPY --chown=user . .
RUN pip install --no-cache-dir --user --no-deps -e .

EXPOSE 7860
# Without curl in the image. Loading the model takes seconds, and the page is up before it.
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz')"]
CMD ["python", "-m", "app", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]

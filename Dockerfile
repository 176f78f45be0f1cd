# The runner with all that it needs, so that a rented machine has nothing to install. The base is
# the image that machines run without this one: controller/settings.py names the same.
FROM pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime

# The image's Python is marked as its system's own (PEP 668); in a container it is ours alone.
ENV DEBIAN_FRONTEND=noninteractive \
    PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PYTHONUNBUFFERED=1

# A machine that is told to clone the runner needs git, which the base has not.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/noxfvr
COPY remote_runner/requirements.txt constraints.txt /tmp/
# The base's PyTorch was built for its CUDA: another one would double the image.
RUN grep -v '^torch' /tmp/requirements.txt > /tmp/without-torch.txt \
    && grep -v '^torch==' /tmp/constraints.txt > /tmp/pinned.txt \
    && python3 -m pip install --constraint /tmp/pinned.txt --requirement /tmp/without-torch.txt \
    && rm /tmp/*.txt

COPY remote_runner/ remote_runner/
COPY data/models/*.pth data/models/

CMD ["python3", "-m", "remote_runner", "--help"]

# syntax=docker/dockerfile:1
# The bot and its controller. Rented machines have an image of their own: the Dockerfile above.
FROM python:3.11-slim

# bot: for rented machines. bot,runner: to compute in this container as well (PyTorch, gigabytes).
ARG EXTRAS=bot
ENV PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PYTHONUNBUFFERED=1

WORKDIR /opt/noxfvr
COPY . .
# av and numpy are what a file is looked at with before anything is rented
RUN python -m pip install --constraint constraints.txt --editable ".[${EXTRAS}]" av numpy \
    && useradd --system --uid 10001 noxfvr \
    && install --directory --owner noxfvr --mode 700 /data

USER noxfvr
ENV NOXFVR_DATA_DIR=/data NOXFVR_CACHE_DIR=/data/cache NOXFVR_BIND=0.0.0.0:8080
VOLUME /data
CMD ["noxfvr", "bot"]

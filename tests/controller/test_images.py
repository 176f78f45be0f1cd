import pytest

from controller.images import capabilities, parse_image_cuda
from controller.settings import IMAGE


@pytest.mark.parametrize(
    ("image", "cuda"),
    [
        ("pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime", 12.8),
        ("vastai/pytorch:2.6.0-cu118-py311", 11.8),
        ("registry.host:5000/team/runner:v3-cu130", 13.0),
        ("nvidia/cuda:12.4.1-runtime-ubuntu22.04", 12.4),
        ("team/runner:cuda-12.6.3@sha256:cu118cu118", 12.6),
        ("team/runner@sha256:0cu128", None),
        ("team/cuda12.8", None),
        ("python:3.11-slim", None),
        ("pytorch/pytorch:2.1-cudnn9-runtime", None),
        ("team/runner", None),
        ("", None),
    ],
)
def test_the_tag_of_an_image_names_its_cuda(image, cuda):
    assert parse_image_cuda(image) == cuda


@pytest.mark.parametrize(
    ("cuda", "bounds"),
    [
        (11.7, (5.0, 8.6)),
        (11.8, (5.0, 9.0)),
        (12.4, (5.0, 9.0)),
        (12.6, (5.0, 9.0)),
        (12.8, (7.5, 12.0)),
        (12.9, (7.5, 12.0)),
        (13.2, (7.5, 12.0)),
    ],
)
def test_a_cuda_release_has_kernels_for_some_cards(cuda, bounds):
    assert capabilities(cuda) == bounds


def test_the_image_of_the_settings_is_understood():
    assert parse_image_cuda(IMAGE) is not None

"""Pixels of images by Hugging Face's processors.

Reads pairs of a preprocessor_config.json and an image file as JSON, and writes the pixels of each pair, as FP32, beside the image."""

import json
import sys

import transformers
from PIL import Image, ImageOps

for job in json.load(sys.stdin):
    processor = getattr(transformers, job["config"]["image_processor_type"])(**job["config"])
    image = ImageOps.exif_transpose(Image.open(job["image"])).convert("RGB")
    processor(image, return_tensors="np")["pixel_values"].astype("float32").tofile(job["pixels"])

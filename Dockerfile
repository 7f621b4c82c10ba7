# docker build -t pocketvision .                                  for the CPU
# docker build -t pocketvision:cuda --build-arg TORCH=cu126 .     or another of https://download.pytorch.org/whl
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH=cpu
ARG EXTRAS=export
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/${TORCH}

COPY . /src
RUN pip install --no-cache-dir "/src[${EXTRAS}]" && rm -r /src

RUN useradd --create-home user
USER user
ENV POCKETVISION_CACHE=/home/user/.cache/pocketvision
WORKDIR /work
ENTRYPOINT ["pocketvision"]
CMD ["--help"]

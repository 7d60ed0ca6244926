# tensorgate on the CPU. The file tree is made, and tested without a container engine, by deploy/image.
#
#   docker build -t tensorgate .
#   docker run --read-only --shm-size 256m -p 8001:8001 -p 8002:8002 -v "$PWD/models:/models:ro" tensorgate

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY src/client/package.json src/client/
# No package of ours needs its script, and that of onnxruntime-node would fetch CUDA.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node deploy/image/main.ts --rootfs /rootfs

# Nothing but the tree: no shell, no package manager.
FROM scratch
COPY --from=build /rootfs/ /
ENV PATH=/usr/local/bin \
    NODE_ENV=production \
    ORT_DISABLE_TELEMETRY=1 \
    TENSORGATE_MODEL_REPOSITORY=/models \
    TENSORGATE_HOST=0.0.0.0
LABEL org.opencontainers.image.title="tensorgate" \
      org.opencontainers.image.description="A gRPC inference gateway for ONNX models" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
USER 10001:10001
EXPOSE 8001 8002
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["serve"]

FROM node:22 AS pages
WORKDIR /src
COPY web web
COPY scripts/build-pages.sh scripts/
RUN PAGES=required scripts/build-pages.sh

FROM golang:1.26 AS build
WORKDIR /src
COPY . .
COPY --from=pages /src/internal/pages/dist internal/pages/dist
ARG VERSION=docker
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /livego ./cmd/livego && mkdir -m 700 /data
# The server reads livego.yaml where it runs, if it is there: /config/livego.yaml, or /app/livego.yaml where LiveGo's image has it.
RUN mkdir -p /root.d/config /root.d/app && ln -s /app/livego.yaml /root.d/config/livego.yaml

FROM scratch
COPY --from=build /livego /livego
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /root.d/ /
WORKDIR /config
USER 65532:65532
VOLUME /data
ENV DATA_DIR=/data
EXPOSE 1935 7001 7002 8090
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/livego", "healthcheck"]
ENTRYPOINT ["/livego"]

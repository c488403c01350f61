FROM golang:1.26 AS build
WORKDIR /src
COPY . .
ARG VERSION=docker
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /livego ./cmd/livego && mkdir /data

FROM scratch
COPY --from=build /livego /livego
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
ENV DATA_DIR=/data
EXPOSE 1935 7001 7002 8090
ENTRYPOINT ["/livego"]

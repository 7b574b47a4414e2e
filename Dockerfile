# One static file in an empty image. It runs as user 65532.
#
# A user who is not root gets no capabilities from the container alone, so the binary
# carries those that it uses. The container must then be allowed to have them, or the
# kernel does not start the binary ("operation not permitted"):
#
#   docker run --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_BIND_SERVICE --cap-add SYS_RESOURCE \
#     --device /dev/net/tun -p 443:443 -p 51820:51820/udp \
#     -v /etc/gateway:/etc/gateway:ro -v gateway-state:/var/lib/gateway sallyport-gateway
#
#   NET_ADMIN          create and configure the WireGuard interface and its packet filter
#   NET_BIND_SERVICE   listen on port 443
#   SYS_RESOURCE       raise the limit of descriptors; use more pipes for splicing than the user's quota
#
# wireguard.mode = "netstack" needs none of them: build with --build-arg CAPS= and
# listen on a port above 1023.

FROM golang:1.26.8-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG COMMIT=unknown
ARG CAPS=cap_net_admin,cap_net_bind_service,cap_sys_resource
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X sallyport/internal/buildinfo.version=$VERSION -X sallyport/internal/buildinfo.commit=$COMMIT" -o /gateway ./cmd/gateway \
 && if [ -n "$CAPS" ]; then setcap "$CAPS=+ep" /gateway; fi
# `wg show` looks in /var/run/wireguard for the socket of a tunnel in userspace.
RUN mkdir -p /state/var/lib/gateway /state/var/run/wireguard && chmod 700 /state/var/lib/gateway /state/var/run/wireguard

FROM scratch
COPY --from=build /gateway /gateway
COPY --from=build --chown=65532:65532 /state /
USER 65532:65532
VOLUME /var/lib/gateway
EXPOSE 443/tcp 51820/udp
ENTRYPOINT ["/gateway"]
CMD ["run", "--config", "/etc/gateway/gateway.toml"]

# One static file in an empty image, run by nobody in particular (uid 65532).
#
# The binary carries the capabilities that it uses, because a user who is not
# root gets none from the container alone. A container must then be allowed
# them, or the kernel will not start the binary ("operation not permitted"):
#
#   docker run --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_BIND_SERVICE --cap-add SYS_RESOURCE \
#     --device /dev/net/tun -p 443:443 -p 51820:51820/udp \
#     -v /etc/gateway:/etc/gateway:ro -v gateway-state:/var/lib/gateway sallyport-gateway
#
#   NET_ADMIN          make and configure the WireGuard interface and its packet filter
#   NET_BIND_SERVICE   listen on 443
#   SYS_RESOURCE       raise the descriptor limit; pipes beyond the user's quota, for splicing
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
# wireguard has the socket that `wg show` asks for a tunnel in userspace.
RUN mkdir -p /state/var/lib/gateway /state/var/run/wireguard && chmod 700 /state/var/lib/gateway /state/var/run/wireguard

FROM scratch
COPY --from=build /gateway /gateway
COPY --from=build --chown=65532:65532 /state /
USER 65532:65532
VOLUME /var/lib/gateway
EXPOSE 443/tcp 51820/udp
ENTRYPOINT ["/gateway"]
CMD ["run", "--config", "/etc/gateway/gateway.toml"]

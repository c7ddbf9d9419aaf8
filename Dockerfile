# An image that contains only the static binary. It is used with `docker run ghcr.io/polyarch/polyarch publish …`, and as
# a plugin for Woodpecker and Drone.
FROM scratch
ARG TARGETARCH
COPY --chmod=755 dist/polyarch-linux-${TARGETARCH} /polyarch
ENTRYPOINT ["/polyarch"]
CMD ["publish"]

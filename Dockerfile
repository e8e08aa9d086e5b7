# The webhook and the certificate authorities of the web, and nothing else: no shell, no
# libraries, no package manager. It is built from files alone, so it needs no base image, no
# network and no emulation of the other platforms. `make image-context` writes the folder to
# build from; `make image` does all of it.
FROM scratch

# Of the platform that is built, such as linux/arm64, from whatever builds it.
ARG TARGETPLATFORM
# Where in the folder the certificates are: a release has them elsewhere.
ARG CERTIFICATES=ca-certificates.crt

COPY --chmod=0444 ${CERTIFICATES} /etc/ssl/certs/ca-certificates.crt
COPY --chmod=0555 ${TARGETPLATFORM}/webhook /webhook

# A number, so that kubelet can tell that it is not root. It owns nothing in here.
USER 65532:65532
ENTRYPOINT ["/webhook"]

ARG VERSION=unknown
ARG COMMIT=unknown
# Without the time of the build, with which no two images would be the same.
LABEL org.opencontainers.image.title="tokenreview-webhook" \
      org.opencontainers.image.description="Tells kube-apiserver who a bearer token speaks for" \
      org.opencontainers.image.source="https://tokenreview.dev/webhook" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

// Package podman builds the image with `make image` and runs the static pod of `webhook
// bootstrap` with podman, beside a real kube-apiserver. It holds tests alone.
//
// The pod names folders of the host and ports of its loopback, and podman keeps state in
// the system. So all of it runs in a sandbox: namespaces of mounts, processes and network,
// where /etc and /var/lib are changed for nobody else and nothing outlives the test.
package podman

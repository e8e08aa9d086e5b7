// Package cluster runs a Kubernetes control plane on loopback for one test: etcd,
// kube-apiserver and kubectl as released, built from their Go modules, and the
// webhook built from this repository. What a test starts ends with the test.
package cluster

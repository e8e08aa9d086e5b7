// Package e2e asks a real kube-apiserver, which asks the webhook. It holds tests
// alone; `make e2e` runs them.
//
// The first run builds etcd, kube-apiserver and kubectl from their Go modules,
// which takes about five minutes, and keeps them in the user's cache folder. See
// package cluster.
package e2e

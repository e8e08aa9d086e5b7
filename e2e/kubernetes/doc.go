// Package kubernetes holds no code: its module pins the versions of
// kube-apiserver, kubectl, kubeadm and etcd that the end-to-end tests build and run.
package kubernetes

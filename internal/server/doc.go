// Package server runs the listeners: the secure port, where TokenReviews are
// answered over mutual TLS, and the health port with /livez, /readyz and /metrics.
// What is answered is the business of package tokenreview.
package server

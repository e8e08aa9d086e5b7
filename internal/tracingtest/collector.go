// Package tracingtest is an OpenTelemetry collector on loopback, which takes spans over
// OTLP/gRPC and OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/). Tests use it; the
// product does not.
package tracingtest

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Collector is a collector without TLS. It is safe for concurrent use.
type Collector struct {
	collector.UnimplementedTraceServiceServer

	// GRPC and HTTP are what OTEL_EXPORTER_OTLP_ENDPOINT has to be.
	GRPC, HTTP string

	grpc *grpc.Server
	http *httptest.Server

	mu       sync.Mutex
	received []*tracev1.ResourceSpans
	asked    int
	answer   http.Handler // in the place of ours over HTTP
}

// Start runs a collector.
func Start() *Collector {
	c := &Collector{grpc: grpc.NewServer()}
	collector.RegisterTraceServiceServer(c.grpc, c)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("listen: %v", err))
	}
	go func() { _ = c.grpc.Serve(listener) }()
	c.http = httptest.NewServer(c)
	c.GRPC, c.HTTP = "http://"+listener.Addr().String(), c.http.URL
	return c
}

// Close stops the collector.
func (c *Collector) Close() {
	c.grpc.Stop()
	c.http.CloseClientConnections()
	c.http.Close()
}

// Answer lets handler answer over HTTP.
func (c *Collector) Answer(handler http.Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = handler
}

// Export implements OTLP/gRPC.
func (c *Collector) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.take(request)
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements OTLP/HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked++
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		answer.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "expected POST /v1/traces with protobuf", http.StatusBadRequest)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	request := &collector.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(data, request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.take(request)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *Collector) take(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, request.GetResourceSpans()...)
}

// Asked is how many requests came over HTTP.
func (c *Collector) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Spans returns what has come so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var spans []Span
	for _, resource := range c.received {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				spans = append(spans, newSpan(resource, scope, span))
			}
		}
	}
	return spans
}

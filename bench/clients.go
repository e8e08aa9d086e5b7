package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tokenreview.dev/webhook/internal/certs"
)

// clients ask one server over HTTP/2, each a question as soon as it has the answer to the
// one before.
type clients struct {
	server *server
	each   []*http.Client
}

// newClients makes number clients that present the API server's certificate. Each has a
// connection of its own, unless they share one, as the requests of an API server do.
func (b *bench) newClients(of *server, number int, share bool) (*clients, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(b.pki, certs.APIServer+".crt"), filepath.Join(b.pki, certs.APIServer+".key"))
	if err != nil {
		return nil, err
	}
	authority, err := authorityOf(b.pki)
	if err != nil {
		return nil, err
	}
	all := &clients{server: of}
	for i := range number {
		if share && i > 0 {
			all.each = append(all.each, all.each[0])
			continue
		}
		all.each = append(all.each, &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{pair}},
			ForceAttemptHTTP2: true,
		}})
	}
	return all, nil
}

func (c *clients) close() {
	for _, client := range c.each {
		client.CloseIdleConnections()
	}
}

// reviewBody is a TokenReview as kube-apiserver sends it. No character of a JWT has to be
// escaped.
func reviewBody(token string) []byte {
	const review = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},` +
		`"spec":{"token":"%s"},"status":{"user":{}}}`
	return fmt.Appendf(nil, review, token)
}

// answers is what came of some time of asking.
type answers struct {
	count     int
	perSecond float64
	// p50 and p99 are how long half of them, and all but a hundredth, took at most, in
	// nanoseconds.
	p50, p99 float64
}

// ask asks for about d, or until body, which is called from several goroutines, returns
// nil. Every answer has to let the token in.
func (c *clients) ask(ctx context.Context, d time.Duration, body func() []byte) (answers, error) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		took    []time.Duration
		errs    []error
	)
	begun := time.Now()
	for _, client := range c.each {
		workers.Go(func() {
			durations, err := c.askAlone(ctx, client, begun.Add(d), body)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, durations...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	workers.Wait()
	elapsed := time.Since(begun)
	if len(errs) > 0 {
		return answers{}, errs[0]
	}
	if len(took) == 0 {
		return answers{}, errors.New("nothing was asked")
	}
	slices.Sort(took)
	return answers{
		count:     len(took),
		perSecond: float64(len(took)) / elapsed.Seconds(),
		p50:       float64(took[(len(took)-1)/2]),
		p99:       float64(took[(len(took)-1)*99/100]),
	}, nil
}

// askAlone asks at least once, and does not begin another question after the deadline.
func (c *clients) askAlone(ctx context.Context, client *http.Client, deadline time.Time, body func() []byte) ([]time.Duration, error) {
	var took []time.Duration
	var answer bytes.Buffer
	for now := time.Now(); ; {
		question := body()
		if question == nil {
			return took, nil
		}
		if err := c.one(ctx, client, question, &answer); err != nil {
			return nil, err
		}
		begun := now
		now = time.Now()
		took = append(took, now.Sub(begun))
		if now.After(deadline) {
			return took, nil
		}
	}
}

var letIn = []byte(`"authenticated":true`)

// one asks one question. The answer is kept in buffer.
func (c *clients) one(ctx context.Context, client *http.Client, question []byte, buffer *bytes.Buffer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.url, bytes.NewReader(question))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	buffer.Reset()
	if _, err := buffer.ReadFrom(response.Body); err != nil {
		return err
	}
	switch {
	case response.ProtoMajor != 2:
		return fmt.Errorf("%s answers over %s, expected HTTP/2", c.server.url, response.Proto)
	case response.StatusCode != http.StatusOK || !bytes.Contains(buffer.Bytes(), letIn):
		return fmt.Errorf("a good token is answered %s: %.500s", response.Status, buffer.Bytes())
	}
	return nil
}

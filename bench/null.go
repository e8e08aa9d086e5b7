package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// nullCommand is the argument with which this program is the server that answers without
// looking.
const nullCommand = "null"

// nullServing begins the line that says where it listens.
const nullServing = "serving "

// startNull runs this program once more, as the server that answers without looking.
func (b *bench) startNull(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := startProcess("null server", self, nullCommand, b.pki)
	if err != nil {
		return nil, err
	}
	address, err := p.await(ctx, func(line string) string {
		address, found := strings.CutPrefix(line, nullServing)
		if !found {
			return ""
		}
		return address
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	return &server{process: p, url: "https://" + address + tokenreview.AuthenticatePath}, nil
}

// serveNull reads TokenReviews and answers each with the same user, until ctx is done.
func serveNull(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("null: expected the folder of the certificates")
	}
	config, err := nullTLS(args[0])
	if err != nil {
		return err
	}
	answer, err := nullAnswer()
	if err != nil {
		return err
	}
	server := newNullServer(config, answer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s%s\n", nullServing, listener.Addr())
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newNullServer has the settings of internal/server, so that both do the same until a
// handler is called.
func newNullServer(config *tls.Config, answer []byte) *http.Server {
	length := strconv.Itoa(len(answer))
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", length)
			_, _ = w.Write(answer)
		}),
		TLSConfig:         config,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     160 << 10,
			MaxReceiveBufferPerConnection: 256 << 10,
			WriteByteTimeout:              10 * time.Second,
		},
	}
}

// nullTLS lets in those that the authority has signed.
func nullTLS(pki string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, certs.Serving+".crt"), filepath.Join(pki, certs.Serving+".key"))
	if err != nil {
		return nil, err
	}
	authority, err := authorityOf(pki)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{pair},
		ClientCAs:    authority,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

func authorityOf(pki string) (*x509.CertPool, error) {
	file := filepath.Join(pki, certs.Authority+".crt")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

// nullAnswer is what has to be answered to the token of case A.
func nullAnswer() ([]byte, error) {
	cases, err := casesNamed(nameOfCaseA)
	if err != nil {
		return nil, err
	}
	who := cases[0].Tokens(time.Now())[0].User
	extra := map[string]authenticationv1.ExtraValue{}
	for key, values := range who.Extra {
		extra[key] = values
	}
	return json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"},
		Status: authenticationv1.TokenReviewStatus{
			Authenticated: true,
			User:          authenticationv1.UserInfo{Username: who.Name, UID: who.UID, Groups: who.Groups, Extra: extra},
		},
	})
}

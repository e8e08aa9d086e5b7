package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// printed are the certificates that are written for some roots.
func printed(t *testing.T, roots []bundle.Root) []*x509.Certificate {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out, slices.Values(roots)); err != nil {
		t.Fatal(err)
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(out.Bytes()); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates
}

func TestEveryRootIsAnAuthorityAndWrittenAsItIs(t *testing.T) {
	var want [][]byte
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			want = append(want, root.Certificate)
		}
	}
	certificates := printed(t, slices.Collect(bundle.Roots()))
	if len(certificates) != len(want) || len(want) == 0 {
		t.Fatalf("%d certificates, want %d", len(certificates), len(want))
	}
	for i, certificate := range certificates {
		if !certificate.IsCA {
			t.Errorf("%s is no authority", certificate.Subject)
		}
		if !bytes.Equal(certificate.Raw, want[i]) {
			t.Errorf("%s is not as it was", certificate.Subject)
		}
	}
}

func TestARootThatIsTrustedOnConditionIsLeftOut(t *testing.T) {
	roots := slices.Collect(bundle.Roots())[:3]
	roots[1].Constraint = func([]*x509.Certificate) error { return errors.New("issued too late") }
	certificates := printed(t, roots)
	if len(certificates) != 2 ||
		!bytes.Equal(certificates[0].Raw, roots[0].Certificate) || !bytes.Equal(certificates[1].Raw, roots[2].Certificate) {
		t.Errorf("got %d certificates, want the first and the third", len(certificates))
	}
}

func TestAListThatTrustsNobodyIsAnError(t *testing.T) {
	if err := write(new(bytes.Buffer), slices.Values([]bundle.Root(nil))); err == nil {
		t.Error("no error")
	}
}

// Command cacertificates prints the certificate authorities of the web as PEM: those of
// Mozilla's list, as golang.org/x/crypto/x509roots has them at the version that this module
// pins. An image of nothing needs them to reach its issuers, and that version alone decides
// which they are: not the machine that the image is built on, nor the day.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"iter"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := write(out, bundle.Roots())
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cacertificates:", err)
		os.Exit(1)
	}
}

// write prints the roots that are trusted without a condition. Of a few others Mozilla
// trusts only what they signed up to some day. PEM cannot say that, and whoever reads the
// file would trust them with everything, so they are left out: an issuer that still has a
// certificate of theirs is named by `certificateAuthority` in the configuration.
func write(out io.Writer, roots iter.Seq[bundle.Root]) error {
	trusted := 0
	for root := range roots {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return err
		}
		if root.Constraint != nil {
			continue
		}
		if _, err := fmt.Fprintf(out, "# %s\n", certificate.Subject); err != nil {
			return err
		}
		if err := pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
			return err
		}
		trusted++
	}
	if trusted == 0 {
		return fmt.Errorf("no root is trusted without a condition")
	}
	return nil
}

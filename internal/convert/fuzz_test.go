package convert_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/convert"
	"tokenreview.dev/webhook/pkg/config"
)

// Whatever a flag's value is, the file says it to the letter or there is none.
func FuzzValues(f *testing.F) {
	for _, value := range []string{"plain", "yes", "0x1f", "1_000", "~", "- a", "a: b", " a ", "a\nb\n", "---\n", "\t", "\u0085", "\u2028", "\ufeff", "\x00", "\xff", "é", "'", `"`, "%", "@", "!!binary x", "=", "<<", "12:30:45"} {
		f.Add(value, value, value)
	}
	f.Fuzz(func(t *testing.T, client, claim, prefix string) {
		flags := convert.Flags{
			"oidc-issuer-url": {"https://id.example.com"}, "oidc-client-id": {client},
			"oidc-username-claim": {claim}, "oidc-username-prefix": {"x" + prefix},
			"oidc-groups-claim": {claim}, "oidc-groups-prefix": {prefix},
			"service-account-issuer": {client},
		}
		text, _, err := convert.Conversion{Flags: flags, Source: client}.Convert()
		if err != nil {
			if !errors.As(err, new(convert.Errors)) && !errors.As(err, new(config.Errors)) {
				t.Errorf("unexpected error: %v", err)
			}
			return
		}
		loaded, err := config.Parse("converted.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		jwt := loaded.Issuers[0].JWT
		want := []string{client, claim, "x" + prefix, client}
		got := []string{jwt.Issuer.Audiences[0], jwt.ClaimMappings.Username.Claim, *jwt.ClaimMappings.Username.Prefix, loaded.Webhook.DisallowedIssuers[0]}
		if claim != "" {
			want, got = append(want, claim, prefix), append(got, jwt.ClaimMappings.Groups.Claim, *jwt.ClaimMappings.Groups.Prefix)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(loaded.Issuers) != 1 {
			t.Errorf("expected -, got +:\n%s%s", diff, text)
		}
	})
}

// A manifest is anybody's; reading it must end with flags or an error.
func FuzzManifest(f *testing.F) {
	f.Add([]byte("kind: Pod\nspec: {containers: [{command: [kube-apiserver, --oidc-client-id=k]}]}\n---\n"))
	f.Add([]byte(`{"kind":"List","items":[{"kind":"Pod"},null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		flags, _, err := convert.ReadManifest(bytes.TrimSpace(data))
		if (flags == nil) == (err == nil) {
			t.Errorf("got %v and %v", flags, err)
		}
	})
}
